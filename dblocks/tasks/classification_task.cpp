// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/classification_task.h"

#include <string>
#include <utility>

#include "dblocks/blocks/ownership.h"
#include "dblocks/nn/init.h"
#include "dblocks/tasks/baseline_units.h"
#include "dblocks/tasks/denoising_unit.h"

namespace dblocks::tasks {
namespace {

// Initial standard deviation of every matrix, position, token and table. The
// published code truncates at 100 standard deviations, which never happens.
constexpr double kInitialStd = 0.02;

std::vector<blocks::LayerRange> unit_layers(const TaskOptions& options) {
  const int64_t num_layers = options.shape.options.num_layers;
  if (options.method == Method::kEndToEnd) {
    return {{0, num_layers}};
  }
  std::vector<blocks::LayerRange> ranges =
      blocks::layer_ranges(options.blocks, num_layers);
  if (options.method == Method::kEndToEndShallow) {
    ranges.resize(1);
  }
  return ranges;
}

}  // namespace

ClassificationTask::ClassificationTask(const TaskOptions& options)
    : options_(options),
      partition_(options.noise, options.partition, options.blocks.num_blocks),
      layers_(unit_layers(options)) {}

void ClassificationTask::initialise(torch::nn::Module& network,
                                    int64_t unit) const {
  const bool denoises = options_.method == Method::kDiffusionBlocks;
  for (const auto& item : network.named_parameters()) {
    const std::string& key = item.key();
    const bool is_table = key == "target_table";
    // Modulations, and the head of a denoiser, start at zero: every fresh block
    // is the identity on its tokens and predicts all classes alike.
    const bool starts_at_zero = key.find("modulation") != std::string::npos ||
                                (denoises && key.starts_with("head."));
    if (item.value().dim() < 2 || starts_at_zero) {
      continue;
    }
    const blocks::Ownership owner =
        denoises ? blocks::ownership_of(options_.blocks.ownership, key)
                 : blocks::Ownership::kPerBlock;
    if (nn::PlaceholderGuard::is_active() &&
        owner != blocks::Ownership::kFrozen) {
      continue;
    }
    // Copies of the target table start equal, whoever owns them.
    const std::string name =
        is_table ? key : blocks::file_name(key, owner, unit);
    nn::fill_normal(item.value(), kInitialStd, options_.seed, name);
    if (is_table &&
        options_.classification.target_table == TargetTable::kUnit) {
      nn::normalise_rows(item.value());
    } else if (is_table && options_.classification.target_table ==
                               TargetTable::kOrthonormal) {
      nn::orthonormalise_rows(item.value());
    }
  }
}

std::shared_ptr<models::VitStage> ClassificationTask::make_stage(
    int64_t unit) const {
  const bool has_stem = unit == 0 || options_.method != Method::kGreedy;
  auto stage = std::make_shared<models::VitStage>(
      options_.shape, layers_[unit].first, layers_[unit].last, has_stem);
  initialise(*stage, unit);
  return stage;
}

std::unique_ptr<Unit> ClassificationTask::make_unit(int64_t unit) const {
  const double smoothing = options_.classification.label_smoothing;
  if (options_.method == Method::kDiffusionBlocks) {
    auto network = std::make_shared<models::VitDenoiser>(
        options_.shape, layers_[unit].first, layers_[unit].last);
    initialise(*network, unit);
    return std::make_unique<DenoisingUnit>(
        unit, std::move(network), partition_, options_.noise.sigma_data,
        options_.classification, options_.blocks.ownership);
  }
  if (options_.method == Method::kGreedy) {
    std::vector<std::shared_ptr<models::VitStage>> before;
    for (int64_t i = 0; i < unit; ++i) {
      before.push_back(make_stage(i));
    }
    return std::make_unique<GreedyUnit>(unit, std::move(before),
                                        make_stage(unit), smoothing);
  }
  return std::make_unique<PlainUnit>(unit, make_stage(unit), smoothing);
}

}  // namespace dblocks::tasks
