// SPDX-License-Identifier: Apache-2.0
#include "dblocks/optim/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "dblocks/core/error.h"

namespace dblocks::optim {

double learning_rate(const OptimOptions& options,
                     int64_t step,
                     int64_t total_steps) {
  DBLOCKS_ASSERT(step >= 0, "[learning_rate] step {}", step);
  const double peak = options.learning_rate;
  const int64_t warmup = options.warmup_steps;
  if (step < warmup) {
    return peak * static_cast<double>(step + 1) / static_cast<double>(warmup);
  }
  if (options.schedule == LearningRateSchedule::kConstant) {
    return peak;
  }
  const double minimum = options.min_learning_rate;
  const double length = static_cast<double>(total_steps - warmup);
  const double done = static_cast<double>(step - warmup);
  const double x = done < length ? done / length : 1.0;
  return minimum + (peak - minimum) * (1 + std::cos(std::numbers::pi * x)) / 2;
}

}  // namespace dblocks::optim
