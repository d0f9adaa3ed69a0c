// SPDX-License-Identifier: Apache-2.0
// Where the units of a run stand on disk while it trains.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "dblocks/core/hash.h"
#include "dblocks/tasks/task.h"
#include "dblocks/train/run_checkpoints.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::train {

/// The manifest of a unit's checkpoint, but for its step and files.
checkpoint::Manifest unit_manifest(const RunSetup& setup,
                                   const tasks::Task& task,
                                   int64_t unit,
                                   const Hash128& frozen_hash);

/// The commits of a run's units. One that is finished on another thread counts
/// from the next collect() on.
/// *Threads*: one, but for what commit() and stage() return.
class UnitCommits {
 public:
  UnitCommits(const RunSetup& setup,
              const RunFolder& folder,
              int64_t num_units);

  /// What a killed process left of this unit's commits goes.
  void remove_leftovers(int64_t unit) { stores_[unit].remove_leftovers(); }
  /// Starts from the checkpoints that a run was found at.
  void begin(const RunCheckpoints& found);

  /// The newest durable step of every unit.
  const std::vector<int64_t>& steps() const { return committed_; }
  /// The newest step that is durable or about to be.
  int64_t staged(int64_t unit) const { return staged_[unit]; }
  /// The folder of the newest checkpoint; empty where there is none.
  const std::filesystem::path& home(int64_t unit) const { return homes_[unit]; }

  /// Writes a checkpoint and returns once it is durable; for any thread.
  /// *Errors*: those of CheckpointStore::commit().
  void commit(int64_t unit,
              int64_t step,
              std::span<const checkpoint::CheckpointFile> files,
              const checkpoint::Manifest& manifest);

  /// Writes the files of a checkpoint; what is returned waits for the disk, on
  /// any thread. *Errors*: those of CheckpointStore::stage().
  std::function<void()> stage(int64_t unit,
                              int64_t step,
                              std::span<const checkpoint::CheckpointFile> files,
                              const checkpoint::Manifest& manifest);

  /// Takes note of what other threads have finished.
  void collect();

  /// A unit whose state is gone is at its newest durable step again.
  void go_back(int64_t unit) { staged_[unit] = committed_[unit]; }

 private:
  struct Finished {
    int64_t unit;
    int64_t step;
    std::filesystem::path folder;
  };
  void finish(int64_t unit, int64_t step, const checkpoint::Checkpoint& done);

  std::vector<checkpoint::CheckpointStore> stores_;
  std::vector<int64_t> committed_, staged_;
  std::vector<std::filesystem::path> homes_;
  std::mutex mutex_;
  std::vector<Finished> finished_;  // under the mutex
};

}  // namespace dblocks::train
