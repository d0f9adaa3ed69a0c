// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "dblocks/optim/parallel_for.h"

namespace dblocks::optim {

/// The Euclidean norm of a flat gradient, summed in double over fixed chunks
/// whose sums are added in order: the same bits for every number of threads.
/// Any finite float gradient has a finite norm; a NaN or infinity anywhere
/// makes the result non-finite, so checking the result checks every element.
double gradient_norm(std::span<const float> gradient,
                     const ParallelFor& parallel = {});

/// The factor that brings a gradient of this norm to at most `clip_norm`:
/// min(1, clip_norm / (norm + 1e-6)); 1 if clip_norm is 0 (no clipping).
/// Requires: norm is finite.
/// *Source*: torch.nn.utils.clip_grad_norm_, including its 1e-6.
double clip_scale(double norm, double clip_norm);

}  // namespace dblocks::optim
