// SPDX-License-Identifier: Apache-2.0
// One optimiser step of one block: the page to read first.
#pragma once

#include <cstdint>

#include "dblocks/optim/adamw.h"
#include "dblocks/optim/options.h"
#include "dblocks/tasks/unit.h"
#include "dblocks/train/unit_state.h"

namespace dblocks::train {

/// What a step tells.
struct StepResult {
  double loss = 0;
  int64_t num_correct = 0;
  double gradient_norm = 0;  ///< before clipping
  double learning_rate = 0;
  bool is_bad = false;  ///< not finite: nothing was learned
};

/// How a step is taken.
struct StepOptions {
  optim::OptimOptions optim;
  /// Length of the learning-rate schedule, in steps of this unit.
  int64_t total_steps = 1;
  /// Samples that run through the network at once; 0 = the whole batch.
  int64_t micro_batch = 0;
  /// Whether a step whose loss or gradient is not finite is an error; otherwise
  /// the result says so and the state but for its count stays as it was.
  bool fails_if_bad = true;
};

/// Takes the next step of a resident unit: forward, backward, clip, AdamW,
/// average. Every random number comes from streams keyed by (seed, unit, step),
/// so the step is a function of the state and the batch. Micro-batches change
/// it by the rounding of the gradient's sum alone; on other devices than the
/// CPU they draw other dropout.
/// *Errors*: ConfigError if loss or gradient are not finite and that is not
/// allowed, OutOfMemoryError; weights, moments and averages are then as before
/// the step.
StepResult block_step(UnitState& state,
                      const tasks::LabelledBatch& batch,
                      const tasks::StepKey& key,
                      const StepOptions& options);

/// The second half of a step, for a loss that was computed with noise of the
/// caller's own: backward, clip, AdamW, average. Requires: gradients are zero.
/// *Errors*: as block_step().
StepResult descend(UnitState& state,
                   const tasks::LossValue& value,
                   const tasks::StepKey& key,
                   const StepOptions& options);

/// Parts of a step that its other forms share: the seed of what dropout draws,
/// the numbers of the update, its count and clipping aside, and the check of
/// what came out, which marks a bad step. *Errors*: as block_step().
uint64_t dropout_seed(const tasks::StepKey& key);
optim::AdamWStep adamw_step(const StepOptions& options,
                            const tasks::StepKey& key);
void check_finite(StepResult& result,
                  const tasks::StepKey& key,
                  const StepOptions& options);

}  // namespace dblocks::train
