// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/paging_plan.h"

#include <algorithm>

namespace dblocks::memory {

PagingPlan plan_paging(std::span<const UnitPlan> units,
                       int64_t budget_bytes,
                       int64_t program_bytes) {
  PagingPlan plan{.budget_bytes = budget_bytes,
                  .program_bytes = program_bytes,
                  .num_units = static_cast<int64_t>(units.size())};
  int64_t weights = 0;
  for (const UnitPlan& unit : units) {
    const int64_t state =
        unit.weights_bytes + unit.moments_bytes + unit.average_bytes;
    plan.state_bytes = std::max(plan.state_bytes, state);
    plan.step_bytes = std::max(plan.step_bytes, unit.peak_bytes - state);
    // First weights are made in fp32.
    weights = std::max({weights, unit.weights_bytes, unit.unpacked_bytes});
  }
  const auto peak = [&](int64_t num_arenas) {
    return program_bytes + plan.step_bytes + num_arenas * plan.state_bytes +
           (num_arenas > 1 ? weights : 0);
  };
  plan.least_bytes = peak(1);
  while (plan.num_arenas < plan.num_units &&
         peak(plan.num_arenas + 1) <= budget_bytes) {
    ++plan.num_arenas;
  }
  plan.building_bytes = plan.overlaps() ? weights : 0;
  plan.peak_bytes = peak(std::max<int64_t>(plan.num_arenas, 1));
  return plan;
}

}  // namespace dblocks::memory
