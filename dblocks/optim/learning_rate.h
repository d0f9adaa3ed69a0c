// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "dblocks/optim/options.h"

namespace dblocks::optim {

/// The learning rate of optimiser step `step` (the first is 0) of a block that
/// trains for `total_steps`. With peak = learning_rate, minimum =
/// min_learning_rate and warmup = warmup_steps:
///
///     peak * (step + 1) / warmup                             step < warmup
///     minimum + (peak - minimum) * (1 + cos(pi * x)) / 2     kCosine,
///       x = (step - warmup) / (total - warmup), at most 1
///     peak                                                   kConstant
///
/// So the first step moves by peak / warmup, not by nothing; the last warm-up
/// step and the first after it are both at the peak; and the minimum is reached
/// one step after the last.
/// *Units*: steps count updates of one block.
/// Requires: validated options, step >= 0.
double learning_rate(const OptimOptions& options,
                     int64_t step,
                     int64_t total_steps);

}  // namespace dblocks::optim
