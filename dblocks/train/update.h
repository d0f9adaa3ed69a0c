// SPDX-License-Identifier: Apache-2.0
// The optimiser on flat states: fused kernels on the CPU and on CUDA, the same
// arithmetic out of LibTorch's operations where there are none.
#pragma once

#include "dblocks/core/flat_state.h"
#include "dblocks/optim/adamw.h"

namespace dblocks::train {

/// Norm of a state's whole gradient; not finite if any element is not.
double gradient_norm(const FlatState& state);

/// One AdamW update of the state's weights and moments; see
/// optim::adamw_update and, with 8-bit moments, optim::adamw_int8_update.
/// `step.step` is the number of this update. *Errors*: OutOfMemoryError; the
/// state is then as before.
void adamw_update(FlatState& state, const optim::AdamWStep& step);

/// One update and, with ema_decay > 0, a step of the average: what a training
/// step does. On a CUDA device with our kernels both are one pass.
/// *Errors*: as adamw_update().
void update_state(FlatState& state,
                  const optim::AdamWStep& step,
                  double ema_decay);

/// The twin of adamw_update that runs on any device.
void adamw_update_composed(FlatState& state, const optim::AdamWStep& step);

/// Moves the state's average, which must exist, one step towards the weights.
void ema_update(FlatState& state, double decay);

}  // namespace dblocks::train
