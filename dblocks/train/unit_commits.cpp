// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/unit_commits.h"

#include <utility>

namespace dblocks::train {

checkpoint::Manifest unit_manifest(const RunSetup& setup,
                                   const tasks::Task& task,
                                   int64_t unit,
                                   const Hash128& frozen_hash) {
  const bool denoises = setup.task.method == tasks::Method::kDiffusionBlocks;
  const noise::Interval interval =
      denoises ? task.partition().interval(unit) : noise::Interval{};
  return {.unit = task.num_units() == 1 ? checkpoint::UnitKind::kModel
                                        : checkpoint::UnitKind::kBlock,
          .block = unit,
          .num_blocks = task.num_units(),
          .first_layer = task.layers(unit).first,
          .end_layer = task.layers(unit).last,
          .sigma_low = interval.low,
          .sigma_high = interval.high,
          .recipe_fingerprint = setup.fingerprint,
          .frozen_hash = frozen_hash};
}

UnitCommits::UnitCommits(const RunSetup& setup,
                         const RunFolder& folder,
                         int64_t num_units) {
  for (int64_t unit = 0; unit < num_units; ++unit) {
    stores_.push_back(unit_store(folder, setup, unit));
  }
}

void UnitCommits::begin(const RunCheckpoints& found) {
  committed_ = staged_ = found.steps();
  homes_.clear();
  for (const auto& unit : found.units) {
    homes_.push_back(unit ? unit->folder : std::filesystem::path());
  }
}

void UnitCommits::commit(int64_t unit,
                         int64_t step,
                         std::span<const checkpoint::CheckpointFile> files,
                         const checkpoint::Manifest& manifest) {
  finish(unit, step, stores_[unit].commit(step, files, manifest));
}

std::function<void()> UnitCommits::stage(
    int64_t unit,
    int64_t step,
    std::span<const checkpoint::CheckpointFile> files,
    const checkpoint::Manifest& manifest) {
  auto rest = stores_[unit].stage(step, files, manifest);
  staged_[unit] = step;
  return [this, unit, step, rest = std::move(rest)] {
    finish(unit, step, rest());
  };
}

void UnitCommits::collect() {
  const std::scoped_lock lock(mutex_);
  for (const Finished& commit : finished_) {
    committed_[commit.unit] = commit.step;
    homes_[commit.unit] = commit.folder;
  }
  finished_.clear();
}

void UnitCommits::finish(int64_t unit,
                         int64_t step,
                         const checkpoint::Checkpoint& done) {
  const std::scoped_lock lock(mutex_);
  finished_.push_back({unit, step, done.folder});
}

}  // namespace dblocks::train
