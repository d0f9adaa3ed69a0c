// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "dblocks/optim/parallel_for.h"

namespace dblocks::optim {

/// Moves an exponential moving average of flat weights one step on:
/// average = average + (1 - decay) * (weights - average), in float.
/// Called once after each update of the block that owns them, never for an
/// idle block.
/// *Errors*: ConfigError unless 0 <= decay <= 1; InternalError if the lengths
/// differ.
void ema_update(std::span<float> average,
                std::span<const float> weights,
                double decay,
                const ParallelFor& parallel = {});

}  // namespace dblocks::optim
