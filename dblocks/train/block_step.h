// SPDX-License-Identifier: Apache-2.0
// One optimiser step of one block: the page to read first.
#pragma once

#include <cstdint>

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
};

/// Takes the next step of a resident unit: forward, backward, clip, AdamW,
/// average. `total_steps` is the length of the learning-rate schedule in steps
/// of this unit. Every random number comes from streams keyed by (seed, unit,
/// step), so the step is a function of the state and the batch.
/// *Errors*: ConfigError if loss or gradient are not finite; the state is then
/// as before the step.
StepResult block_step(UnitState& state,
                      const tasks::LabelledBatch& batch,
                      const tasks::StepKey& key,
                      const optim::OptimOptions& options,
                      int64_t total_steps);

/// The second half of a step, for a loss that was computed with noise of the
/// caller's own: backward, clip, AdamW, average. Requires: gradients are zero.
/// *Errors*: as block_step().
StepResult descend(UnitState& state,
                   const tasks::LossValue& value,
                   const tasks::StepKey& key,
                   const optim::OptimOptions& options,
                   int64_t total_steps);

}  // namespace dblocks::train
