// SPDX-License-Identifier: Apache-2.0
// The optimiser on flat states: fused kernels on the CPU and on CUDA, the same
// arithmetic out of LibTorch's operations where there are none.
#pragma once

#include "dblocks/core/flat_state.h"
#include "dblocks/optim/adamw.h"
#include "dblocks/optim/ema.h"

namespace dblocks::train {

/// Norm of a state's whole gradient; not finite if any element is not.
double gradient_norm(const FlatState& state);

/// One AdamW update of the state's weights and moments; see
/// optim::adamw_update and, with 8-bit moments, optim::adamw_int8_update.
/// `step.step` is the number of this update. *Errors*: OutOfMemoryError; the
/// state is then as before.
void adamw_update(FlatState& state, const optim::AdamWStep& step);

/// One update and a step of each average that the state keeps: what a training
/// step does. On a CUDA device with our kernels all are one pass.
/// *Errors*: as adamw_update().
void update_state(FlatState& state,
                  const optim::AdamWStep& step,
                  const optim::EmaDecays& decays);

/// The twin of adamw_update that runs on any device.
void adamw_update_composed(FlatState& state, const optim::AdamWStep& step);

/// Moves the averages that the state keeps one step towards the weights.
void ema_update(FlatState& state, const optim::EmaDecays& decays);

}  // namespace dblocks::train
