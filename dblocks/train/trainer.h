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
#include "dblocks/report/progress.h"
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
};

/// What a call of Trainer::run left behind.
struct TrainResult {
  std::vector<int64_t> steps;  ///< done per unit
  bool is_interrupted = false;
  double data_wait_share = 0;  ///< of the time spent on steps
  double images_per_second = 0;
};

/// Checks that unit `unit` can be trained alone. *Errors*: ConfigError if it
/// does not exist or parts are shared.
void check_trains_alone(const RunSetup& setup, int64_t unit);

/// Trains, or resumes, the run in a folder.
///
/// Only the unit that takes steps is in memory. Between two visits a unit's
/// state lies in its page on disk; every checkpoint.every_steps of its own
/// steps, at its end and on a stop it is committed as a checkpoint. Where parts
/// are shared, all changed units and the shared parts are committed together.
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
