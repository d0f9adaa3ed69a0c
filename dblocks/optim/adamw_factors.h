// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "dblocks/optim/adamw.h"

namespace dblocks::optim::internal {

/// What one update multiplies elements by, rounded to float once.
struct Factors {
  float decay;
  float gradient_scale;
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;
  float step_size;
  float root_correction2;
  float eps;
};

inline Factors factors_of(const AdamWStep& step) {
  const double t = static_cast<double>(step.step);
  const double correction1 = 1 - std::pow(step.beta1, t);
  const double correction2 = 1 - std::pow(step.beta2, t);
  return {
      .decay = static_cast<float>(1 - step.learning_rate * step.weight_decay),
      .gradient_scale = static_cast<float>(step.gradient_scale),
      .one_minus_beta1 = static_cast<float>(1 - step.beta1),
      .beta2 = static_cast<float>(step.beta2),
      .one_minus_beta2 = static_cast<float>(1 - step.beta2),
      .step_size = static_cast<float>(step.learning_rate / correction1),
      .root_correction2 = static_cast<float>(std::sqrt(correction2)),
      .eps = static_cast<float>(step.eps),
  };
}

}  // namespace dblocks::optim::internal
