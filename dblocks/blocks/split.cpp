// SPDX-License-Identifier: Apache-2.0
#include "dblocks/blocks/split.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

#include "dblocks/core/error.h"

namespace dblocks::blocks {

namespace {

void validate_listed_split(const BlocksOptions& options, int64_t num_layers) {
  const auto& split = options.layers_per_block;
  DBLOCKS_CHECK(std::ssize(split) == options.num_blocks, ConfigError,
                "[blocks] expected blocks.layers_per_block to list {} numbers, "
                "one per block (blocks.num_blocks), found {}",
                options.num_blocks, split.size());
  int64_t left = num_layers;
  for (const int64_t layers : split) {
    DBLOCKS_CHECK(layers >= 1, ConfigError,
                  "[blocks] expected at least one layer in every block, found "
                  "blocks.layers_per_block = [{}]",
                  fmt::join(split, ", "));
    left -= std::min(layers, num_layers + 1);
  }
  DBLOCKS_CHECK(left == 0, ConfigError,
                "[blocks] expected blocks.layers_per_block to add up to the {} "
                "layers of the stack (num_layers), found [{}]",
                num_layers, fmt::join(split, ", "));
}

}  // namespace

void validate(const BlocksOptions& options, int64_t num_layers) {
  const int64_t num_blocks = options.num_blocks;
  DBLOCKS_CHECK(
      num_blocks >= 1 && num_blocks <= num_layers, ConfigError,
      "[blocks] expected blocks.num_blocks between 1 and the {} layers "
      "of the stack (num_layers), found {}",
      num_layers, num_blocks);
  if (!options.layers_per_block.empty()) {
    validate_listed_split(options, num_layers);
    return;
  }
  DBLOCKS_CHECK(
      num_layers % num_blocks == 0, ConfigError,
      "[blocks] expected blocks.num_blocks to divide the layers of the "
      "stack (num_layers), found {} blocks and {} layers. Hint: list "
      "the layers of each block in blocks.layers_per_block",
      num_blocks, num_layers);
}

std::vector<LayerRange> layer_ranges(const BlocksOptions& options,
                                     int64_t num_layers) {
  validate(options, num_layers);
  std::vector<LayerRange> ranges;
  int64_t first = 0;
  for (int64_t block = 0; block < options.num_blocks; ++block) {
    const int64_t layers = options.layers_per_block.empty()
                               ? num_layers / options.num_blocks
                               : options.layers_per_block[block];
    ranges.push_back({first, first + layers});
    first += layers;
  }
  return ranges;
}

}  // namespace dblocks::blocks
