// SPDX-License-Identifier: Apache-2.0
#include "dblocks/noise/precondition.h"

#include <cmath>

namespace dblocks::noise {

Preconditioning precondition(double sigma, double sigma_data) {
  const double total = sigma * sigma + sigma_data * sigma_data;
  const double root = std::sqrt(total);
  return {.skip = sigma_data * sigma_data / total,
          .out = sigma * sigma_data / root,
          .in = 1 / root,
          .noise = std::log(sigma) / 4};
}

double loss_weight(double sigma, double sigma_data) {
  const double product = sigma * sigma_data;
  return (sigma * sigma + sigma_data * sigma_data) / (product * product);
}

}  // namespace dblocks::noise
