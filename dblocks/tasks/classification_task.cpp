// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/classification_task.h"

#include <string>
#include <utility>

#include "dblocks/blocks/ownership.h"
#include "dblocks/core/error.h"
#include "dblocks/nn/init.h"
#include "dblocks/nn/recompute.h"
#include "dblocks/tasks/baseline_units.h"
#include "dblocks/tasks/denoising_unit.h"

namespace dblocks::tasks {
namespace {

// Initial standard deviation of every matrix, position, token and table. The
// published code truncates at 100 standard deviations, which never happens.
constexpr double kInitialStd = 0.02;

}  // namespace

ClassificationTask::ClassificationTask(const TaskOptions& options)
    : Task(options,
           {options.noise, options.partition, options.blocks.num_blocks}) {
  DBLOCKS_CHECK(options.kind == TaskKind::kClassification, ConfigError,
                "[classification] expected a run with task = classification, "
                "found {}",
                enum_name(options.kind));
}

void ClassificationTask::initialise(torch::nn::Module& network,
                                    int64_t unit) const {
  const bool denoises = options().method == Method::kDiffusionBlocks;
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
        denoises ? blocks::ownership_of(options().blocks.ownership, key)
                 : blocks::Ownership::kPerBlock;
    if (nn::PlaceholderGuard::is_active() &&
        owner != blocks::Ownership::kFrozen) {
      continue;
    }
    // Copies of the target table start equal, whoever owns them.
    const std::string name =
        is_table ? key : blocks::file_name(key, owner, unit);
    nn::fill_normal(item.value(), kInitialStd, options().seed, name);
    if (is_table &&
        options().classification.target_table == TargetTable::kUnit) {
      nn::normalise_rows(item.value());
    } else if (is_table && options().classification.target_table ==
                               TargetTable::kOrthonormal) {
      nn::orthonormalise_rows(item.value());
    }
  }
}

std::shared_ptr<models::VitStage> ClassificationTask::make_stage(
    int64_t unit) const {
  const bool has_stem = unit == 0 || options().method != Method::kGreedy;
  auto stage = std::make_shared<models::VitStage>(
      options().shape, layers(unit).first, layers(unit).last, has_stem);
  initialise(*stage, unit);
  nn::set_recompute(*stage, options().recompute);
  return stage;
}

std::unique_ptr<Unit> ClassificationTask::make_unit(int64_t unit) const {
  const double smoothing = options().classification.label_smoothing;
  if (options().method == Method::kDiffusionBlocks) {
    auto network = std::make_shared<models::VitDenoiser>(
        options().shape, layers(unit).first, layers(unit).last);
    initialise(*network, unit);
    nn::set_recompute(*network, options().recompute);
    return std::make_unique<DenoisingUnit>(
        unit, std::move(network), partition(), options().noise.sigma_data,
        options().classification, options().blocks.ownership);
  }
  if (options().method == Method::kGreedy) {
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
