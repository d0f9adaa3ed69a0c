// SPDX-License-Identifier: Apache-2.0
// A run's shapes as the planner takes them.
#pragma once

#include <cstdint>
#include <vector>

#include "dblocks/memory/planner.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::train {

/// Shapes of a step of `setup`'s method.
memory::StepShape step_shape(const RunSetup& setup);

/// Shape of every unit of `setup`'s method, in order.
std::vector<memory::UnitShape> unit_shapes(const RunSetup& setup);

/// Predicted memory of a step of every unit; nothing is built or trained.
/// *Errors*: ConfigError for options that do not fit together.
std::vector<memory::UnitPlan> plan_steps(const RunSetup& setup);

}  // namespace dblocks::train
