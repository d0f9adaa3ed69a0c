// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/visits.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "dblocks/core/random.h"

namespace dblocks::train {
namespace {

/// The unit that is the fewest rounds along, the first of equals.
int64_t next_in_turn(const TrainOptions& options,
                     std::span<const int64_t> steps_done,
                     std::span<const int64_t> unfinished) {
  return *std::min_element(unfinished.begin(), unfinished.end(),
                           [&](int64_t a, int64_t b) {
                             return steps_done[a] / options.steps_per_visit <
                                    steps_done[b] / options.steps_per_visit;
                           });
}

}  // namespace

std::optional<Visit> next_visit(const TrainOptions& options,
                                uint64_t seed,
                                std::span<const int64_t> steps_done) {
  std::vector<int64_t> unfinished;
  for (size_t i = 0; i < steps_done.size(); ++i) {
    if (steps_done[i] < options.steps) {
      unfinished.push_back(static_cast<int64_t>(i));
    }
  }
  if (unfinished.empty()) {
    return std::nullopt;
  }
  if (options.schedule == TrainingSchedule::kSequential) {
    const int64_t unit = unfinished.front();
    return Visit{unit, options.steps - steps_done[unit]};
  }
  if (options.schedule == TrainingSchedule::kAlternating) {
    const int64_t unit = next_in_turn(options, steps_done, unfinished);
    const int64_t done = steps_done[unit];
    const int64_t round_end =
        (done / options.steps_per_visit + 1) * options.steps_per_visit;
    return Visit{unit, std::min(round_end, options.steps) - done};
  }
  const int64_t total =
      std::accumulate(steps_done.begin(), steps_done.end(), int64_t{0});
  RandomStream stream(seed, RandomPurpose::kBlockChoice, total, 0);
  return Visit{unfinished[stream.next_below(unfinished.size())], 1};
}

}  // namespace dblocks::train
