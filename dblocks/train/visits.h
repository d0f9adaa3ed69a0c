// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "dblocks/train/options.h"

namespace dblocks::train {

/// Consecutive steps of one unit.
struct Visit {
  int64_t unit = 0;
  int64_t steps = 0;
};

/// The next visit of a run, from the steps that each unit has done so far; a
/// resumed run therefore goes on as an uninterrupted one would.
///
/// sequential: the first unfinished unit, to its end. alternating: rounds of
/// options.steps_per_visit steps of each unit in turn. random: one step of a
/// unit drawn among the unfinished ones, from a stream keyed by (seed, steps
/// done in all).
/// Nothing when every unit has done options.steps.
std::optional<Visit> next_visit(const TrainOptions& options,
                                uint64_t seed,
                                std::span<const int64_t> steps_done);

}  // namespace dblocks::train
