// SPDX-License-Identifier: Apache-2.0
// The optimiser on a CUDA device by our kernels: started, not waited for. Norm,
// clipping and the check for finite numbers stay on the device, so that a whole
// step can run without the CPU.
#pragma once

#include "dblocks/core/flat_state.h"
#include "dblocks/ops/cuda/kernels.h"
#include "dblocks/optim/adamw.h"
#include "dblocks/optim/ema.h"

namespace dblocks::train {

/// Whether kernels can update this state.
bool has_device_update(const FlatState& state);

/// What an update multiplies by, as kernels take it.
ops::cuda::UpdateFactors update_factors(const optim::AdamWStep& step);

/// Starts to work out the norm of the gradient.
/// *Shapes*: scratch: [kNormPartials + 1] float64 on the device; the norm is
/// its last element, which is returned.
const double* start_gradient_norm(const FlatState& state, at::Tensor& scratch);

/// Starts AdamW with the factors that lie at `factors` on the device, and moves
/// the averages that the state keeps.
void start_update(FlatState& state,
                  const ops::cuda::UpdateFactors* factors,
                  const optim::EmaDecays& decays);

}  // namespace dblocks::train
