// SPDX-License-Identifier: Apache-2.0
#include "dblocks/sampling/euler.h"

#include <ATen/TensorOperators.h>

#include <cmath>

namespace dblocks::sampling {

at::Tensor euler_step(const at::Tensor& z,
                      const at::Tensor& clean,
                      double sigma,
                      double sigma_next) {
  const double keep = sigma_next / sigma;
  return z * keep + clean * (1 - keep);
}

at::Tensor initial_state(const at::Tensor& epsilon, double sigma) {
  return epsilon * std::sqrt(1 + sigma * sigma);
}

}  // namespace dblocks::sampling
