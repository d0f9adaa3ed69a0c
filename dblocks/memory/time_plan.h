// SPDX-License-Identifier: Apache-2.0
// How long training steps will take, worked out from shapes and a machine's
// rates. A step is taken to be its matrix products at the rate of products and
// then everything else at the rate of memory, one after the other.
#pragma once

#include <cstdint>
#include <span>

#include "dblocks/memory/paging_plan.h"
#include "dblocks/memory/step_work.h"

namespace dblocks::memory {

/// Predicted seconds of steps of units whose states are there.
struct TimePlan {
  double products_seconds = 0;  ///< of the slowest unit's step
  double memory_seconds = 0;    ///< of the same
  double sweep_seconds = 0;     ///< one step of every unit

  double step_seconds() const { return products_seconds + memory_seconds; }
};

/// Requires: rates above 0, at least one unit.
TimePlan plan_time(const StepShape& shape,
                   std::span<const UnitShape> units,
                   const MachineRates& rates);

/// Predicted seconds of steps whose units' states take turns in memory.
struct PagedTimePlan {
  double move_seconds = 0;      ///< of a state in and another out
  double steps_to_hide = 0;     ///< k_hide: steps that take as long
  int64_t steps_per_visit = 0;  ///< given, or what `auto` would choose
  double step_seconds = 0;      ///< on average, waiting included
  double wait_share = 0;        ///< of all time
};

/// A visit that overlaps takes as long as its steps or the move, whichever is
/// longer; without overlap, both. With 2 or more states of B in memory, A, it
/// is B - A of every B - 2 visits that move one, the least that taking turns
/// allows while one trains.
/// `step_seconds`: of an average step; `steps_per_visit`: 0 = auto.
/// Requires: a plan that fits, with paged states; known rates of moving.
PagedTimePlan plan_paged_time(const PagingPlan& paging,
                              double step_seconds,
                              const MachineRates& rates,
                              int64_t steps_per_visit);

}  // namespace dblocks::memory
