// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/generation_task.h"

#include <string>
#include <utility>

#include "dblocks/blocks/ownership.h"
#include "dblocks/core/error.h"
#include "dblocks/nn/init.h"
#include "dblocks/nn/recompute.h"
#include "dblocks/tasks/image_denoising_unit.h"

namespace dblocks::tasks {
namespace {

/// Of the label table and the embedding of sigma.
constexpr double kEmbeddingStd = 0.02;

/// The whole range of sigma is one interval where one network learns it all.
noise::Partition make_partition(const TaskOptions& options) {
  switch (options.method) {
    case Method::kDiffusionBlocks:
      return {options.noise, options.partition, options.blocks.num_blocks};
    case Method::kEndToEnd:
    case Method::kEndToEndShallow:
      return {options.noise, {}, 1};
    default:
      throw ConfigError(fmt::format(
          "[generation] expected method = diffusion_blocks, end_to_end or "
          "end_to_end_shallow with task = image_generation, found {}",
          enum_name(options.method)));
  }
}

/// As published: Xavier-uniform products, N(0, 0.02^2) embeddings, and zero for
/// modulations, head and biases, so that fresh layers are the identity.
void initialise(models::DitNetwork& network,
                const blocks::OwnershipOptions& ownership,
                uint64_t seed,
                int64_t unit) {
  for (const auto& item : network.named_parameters()) {
    const std::string& key = item.key();
    const bool starts_at_zero =
        key.find("modulation") != std::string::npos || key.starts_with("head.");
    if (item.value().dim() < 2 || starts_at_zero) {
      continue;
    }
    const std::string name =
        blocks::file_name(key, blocks::ownership_of(ownership, key), unit);
    if (key == "label_embedding" || key.starts_with("sigma_embedder.")) {
      nn::fill_normal(item.value(), kEmbeddingStd, seed, name);
    } else {
      nn::fill_xavier_uniform(item.value(), seed, name);
    }
  }
}

}  // namespace

GenerationTask::GenerationTask(const TaskOptions& options)
    : Task(options, make_partition(options)) {}

std::unique_ptr<Unit> GenerationTask::make_unit(int64_t unit) const {
  const TaskOptions& o = options();
  auto network = std::make_shared<models::DitNetwork>(o.dit, layers(unit).first,
                                                      layers(unit).last);
  // One network has no parts that blocks could share.
  const blocks::OwnershipOptions ownership =
      o.method == Method::kDiffusionBlocks ? o.blocks.ownership
                                           : blocks::OwnershipOptions{};
  initialise(*network, ownership, o.seed, unit);
  nn::set_recompute(*network, o.recompute);
  return std::make_unique<ImageDenoisingUnit>(unit, std::move(network),
                                              partition(), o.noise.sigma_data,
                                              o.generation, ownership);
}

}  // namespace dblocks::tasks
