// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "dblocks/blocks/options.h"

namespace dblocks::blocks {

/// Layers [first, last) of the stack: `last` is one past the end.
struct LayerRange {
  int64_t first = 0;
  int64_t last = 0;

  int64_t num_layers() const { return last - first; }
  bool operator==(const LayerRange&) const = default;
};

/// Errors: ConfigError if num_blocks < 1 or > num_layers, if it does not divide
/// num_layers and no split is listed, or if the listed split has another
/// length, an empty block or another sum.
void validate(const BlocksOptions& options, int64_t num_layers);

/// The layers of every block, block 0 first; together they tile the stack.
/// Errors: as validate().
std::vector<LayerRange> layer_ranges(const BlocksOptions& options,
                                     int64_t num_layers);

}  // namespace dblocks::blocks
