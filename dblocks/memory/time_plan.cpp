// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/time_plan.h"

#include <algorithm>
#include <cmath>

namespace dblocks::memory {

TimePlan plan_time(const StepShape& shape,
                   std::span<const UnitShape> units,
                   const MachineRates& rates) {
  TimePlan plan;
  for (const UnitShape& unit : units) {
    const Roofline bounds = roofline_of(work_of(shape, unit), 0, rates);
    const double seconds = bounds.matmul_seconds + bounds.memory_seconds;
    plan.sweep_seconds += seconds;
    if (seconds > plan.step_seconds()) {
      plan.products_seconds = bounds.matmul_seconds;
      plan.memory_seconds = bounds.memory_seconds;
    }
  }
  return plan;
}

PagedTimePlan plan_paged_time(const PagingPlan& paging,
                              double step_seconds,
                              const MachineRates& rates,
                              int64_t steps_per_visit) {
  const auto bytes = static_cast<double>(paging.state_bytes);
  PagedTimePlan plan{.move_seconds = bytes / rates.state_in_bytes +
                                     bytes / rates.state_out_bytes,
                     .steps_per_visit = steps_per_visit};
  plan.steps_to_hide = plan.move_seconds / step_seconds;
  if (steps_per_visit == 0) {
    plan.steps_per_visit = std::max<int64_t>(
        1, std::llround(
               std::ceil((paging.overlaps() ? 2 : 20) * plan.steps_to_hide)));
  }
  const double steps = static_cast<double>(plan.steps_per_visit) * step_seconds;
  double wait = plan.move_seconds;
  if (paging.overlaps()) {
    const double moves = static_cast<double>(paging.num_paged()) /
                         static_cast<double>(paging.num_units - 2);
    wait = moves * std::max(0.0, plan.move_seconds - steps);
  }
  plan.step_seconds =
      (steps + wait) / static_cast<double>(plan.steps_per_visit);
  plan.wait_share = wait / (steps + wait);
  return plan;
}

}  // namespace dblocks::memory
