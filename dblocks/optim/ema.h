// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <span>

#include "dblocks/core/state_format.h"
#include "dblocks/optim/parallel_for.h"

namespace dblocks::optim {

/// A decay per step for each running average; those of averages that a state
/// does not keep are not read.
using EmaDecays = std::array<double, kMaxAverages>;

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
