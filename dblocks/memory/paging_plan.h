// SPDX-License-Identifier: Apache-2.0
// Which states of a run's blocks stay in memory, for a given amount of it.
#pragma once

#include <cstdint>
#include <span>

#include "dblocks/memory/planner.h"

namespace dblocks::memory {

/// How a run lies in memory. All in bytes, except for counts.
struct PagingPlan {
  int64_t budget_bytes = 0;
  int64_t program_bytes = 0;  ///< the program itself and the data it holds
  int64_t num_units = 0;
  int64_t num_arenas = 0;   ///< states in memory at once; 0: not even one fits
  int64_t state_bytes = 0;  ///< that travel per unit: weights, moments, average
  /// What the unit that trains needs beside its state: gradient, frozen parts,
  /// activations, buffers.
  int64_t step_bytes = 0;
  /// A unit's first weights, made while another trains.
  int64_t building_bytes = 0;
  int64_t peak_bytes = 0;   ///< of the whole process, with num_arenas (or one)
  int64_t least_bytes = 0;  ///< the smallest budget that suffices

  bool fits() const { return num_arenas > 0; }
  bool overlaps() const { return num_arenas > 1; }
  int64_t num_paged() const {
    return fits() && num_arenas < num_units ? num_units - num_arenas : 0;
  }
  /// Of the page files on disk: each unit has one unless all are in memory.
  int64_t disk_bytes() const {
    return num_paged() > 0 ? num_units * state_bytes : 0;
  }
};

/// The largest number of states that `budget_bytes` hold beside a step of the
/// largest unit and the program. Shared parts count as part of each state,
/// which is on the safe side. Requires: at least one unit.
PagingPlan plan_paging(std::span<const UnitPlan> units,
                       int64_t budget_bytes,
                       int64_t program_bytes);

}  // namespace dblocks::memory
