// SPDX-License-Identifier: Apache-2.0
#include "dblocks/optim/gradient_norm.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "dblocks/optim/simd_clones.h"

namespace dblocks::optim {
namespace {

// A fixed number of running sums, so that the order of additions is the same
// whatever the width of the machine's vectors.
constexpr int64_t kLanes = 16;

DBLOCKS_SIMD_CLONES
double sum_of_squares(const float* values, int64_t count) {
  double sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const double value = values[i + lane];
      sums[lane] += value * value;
    }
  }
  for (; i < count; ++i) {
    const double value = values[i];
    sums[i % kLanes] += value * value;
  }
  return std::accumulate(sums, sums + kLanes, 0.0);
}

}  // namespace

double gradient_norm(std::span<const float> gradient,
                     const ParallelFor& parallel) {
  const auto count = static_cast<int64_t>(gradient.size());
  std::vector<double> sums(
      static_cast<size_t>((count + kChunkElements - 1) / kChunkElements));
  for_each_chunk(count, parallel, [&](int64_t begin, int64_t end) {
    sums[static_cast<size_t>(begin / kChunkElements)] =
        sum_of_squares(gradient.data() + begin, end - begin);
  });
  return std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0));
}

double clip_scale(double norm, double clip_norm) {
  if (clip_norm == 0) {
    return 1;
  }
  return std::min(1.0, clip_norm / (norm + 1e-6));
}

}  // namespace dblocks::optim
