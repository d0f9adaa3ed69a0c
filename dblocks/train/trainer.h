// SPDX-License-Identifier: Apache-2.0
// Trains the units of a run, one resident at a time.
#pragma once

#include <c10/core/Device.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "dblocks/data/dataset.h"
#include "dblocks/memory/pager.h"
#include "dblocks/report/progress.h"
#include "dblocks/train/device_traffic.h"
#include "dblocks/train/run_checkpoints.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::train {

struct TrainerOptions {
  at::Device device = at::kCPU;
  /// Train this unit only; nothing else of the run is read or written.
  std::optional<int64_t> only_unit;
  /// Set from a signal handler to end the run after the step at hand.
  const std::atomic<bool>* stop = nullptr;
  /// Called after every step.
  std::function<void(const report::Progress&)> on_progress;
  /// How many units' states there is memory for; memory::plan_paging() tells.
  /// 1: a state leaves before the next one comes in. 2: both happen while a
  /// unit trains, and so do commits at the end of a visit. The number of units:
  /// none leaves.
  int64_t num_arenas = 1;
  /// How many states there is room for on a device that is not the CPU: 2, of
  /// which one comes in or leaves while the other trains, or 1.
  int64_t num_device_slots = 2;
  /// Takes the CPU for such a device, with memory of its own: for tests.
  bool has_device_tier = false;
};

/// What a call of Trainer::run left behind.
struct TrainResult {
  std::vector<int64_t> steps;  ///< done per unit
  bool is_interrupted = false;
  double data_wait_share = 0;  ///< of the time spent on steps
  double images_per_second = 0;
  double paging_wait_share = 0;    ///< of the time spent on steps and paging
  int64_t num_commits_waited = 0;  ///< checkpoints that training waited for
  double commit_seconds = 0;       ///< that it stood still for them
  double step_seconds = 0;         ///< mean of a step
  int64_t peak_tensor_bytes = 0;   ///< on the device that trained
  memory::PagerStats paging;
  DeviceTraffic to_device, from_device;
};

/// Checks that unit `unit` can be trained alone. *Errors*: ConfigError if it
/// does not exist or parts are shared.
void check_trains_alone(const RunSetup& setup, int64_t unit);

/// Trains, or resumes, the run in a folder.
///
/// Only the unit that takes steps is in memory, and as many idle states as
/// TrainerOptions.num_arenas allows. Between two visits the others lie in page
/// files in the run folder; every checkpoint.every_steps of its own steps, at
/// its end and on a stop a unit is committed as a checkpoint. Where parts are
/// shared, all changed units and the shared parts are committed together.
///
/// A unit whose page was damaged on disk goes back to its newest checkpoint;
/// with shared parts that is an error (CheckpointError) and the same command
/// goes on from the newest checkpoints of all.
class Trainer {
 public:
  /// Takes the leases of the units that will train and finds where they stand.
  /// *Errors*: CheckpointError if a unit is in use by another process, or its
  /// checkpoints belong to another recipe; ConfigError if `only_unit` does not
  /// exist or parts are shared.
  Trainer(const RunSetup& setup,
          const data::Dataset& train_set,
          const RunFolder& folder,
          const TrainerOptions& options);
  ~Trainer();

  /// Trains until every unit is done or a stop is asked for; in both cases
  /// everything is durable when it returns.
  TrainResult run();

  /// Steps done per unit.
  const std::vector<int64_t>& steps_done() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dblocks::train
