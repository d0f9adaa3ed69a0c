// SPDX-License-Identifier: Apache-2.0
#include "dblocks/optim/adamw.h"

#include <algorithm>
#include <cmath>

#include "dblocks/core/error.h"
#include "dblocks/optim/adamw_factors.h"
#include "dblocks/optim/simd_clones.h"

namespace dblocks::optim {
namespace {

using internal::Factors;
using internal::factors_of;

void check_buffers(const AdamWStep& step, const AdamWBuffers& buffers) {
  const size_t count = buffers.weights.size();
  DBLOCKS_ASSERT(buffers.gradient.size() == count &&
                     buffers.first_moment.size() == count &&
                     buffers.second_moment.size() == count,
                 "[adamw_update] lengths {}, {}, {}, {}", count,
                 buffers.gradient.size(), buffers.first_moment.size(),
                 buffers.second_moment.size());
  DBLOCKS_ASSERT(buffers.decayed_count >= 0 &&
                     buffers.decayed_count <= static_cast<int64_t>(count),
                 "[adamw_update] decayed_count {} of {}", buffers.decayed_count,
                 count);
  DBLOCKS_ASSERT(step.step >= 1, "[adamw_update] step {}", step.step);
}

DBLOCKS_SIMD_CLONES
void update_range(const Factors& factors,
                  float decay,
                  int64_t count,
                  float* __restrict__ weights,
                  const float* __restrict__ gradient,
                  float* __restrict__ first_moment,
                  float* __restrict__ second_moment) {
  const Factors f = factors;
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * f.gradient_scale;
    const float m = first_moment[i] + f.one_minus_beta1 * (g - first_moment[i]);
    const float v = second_moment[i] * f.beta2 + f.one_minus_beta2 * g * g;
    const float denominator = std::sqrt(v) / f.root_correction2 + f.eps;
    first_moment[i] = m;
    second_moment[i] = v;
    weights[i] = weights[i] * decay - f.step_size * (m / denominator);
  }
}

}  // namespace

void adamw_update(const AdamWStep& step,
                  const AdamWBuffers& buffers,
                  const ParallelFor& parallel) {
  check_buffers(step, buffers);
  const Factors factors = factors_of(step);
  const auto update = [&](int64_t begin, int64_t end, float decay) {
    if (begin < end) {
      update_range(factors, decay, end - begin, buffers.weights.data() + begin,
                   buffers.gradient.data() + begin,
                   buffers.first_moment.data() + begin,
                   buffers.second_moment.data() + begin);
    }
  };
  for_each_chunk(static_cast<int64_t>(buffers.weights.size()), parallel,
                 [&](int64_t begin, int64_t end) {
                   const int64_t cut =
                       std::clamp(buffers.decayed_count, begin, end);
                   update(begin, cut, factors.decay);
                   update(cut, end, 1.0F);
                 });
}

void adamw_update_reference(const AdamWStep& step,
                            const AdamWBuffers& buffers) {
  check_buffers(step, buffers);
  const Factors f = factors_of(step);
  for (size_t i = 0; i < buffers.weights.size(); ++i) {
    float& weight = buffers.weights[i];
    float& m = buffers.first_moment[i];
    float& v = buffers.second_moment[i];
    const float g = buffers.gradient[i] * f.gradient_scale;
    if (static_cast<int64_t>(i) < buffers.decayed_count) {
      weight *= f.decay;
    }
    m += f.one_minus_beta1 * (g - m);
    v = v * f.beta2 + f.one_minus_beta2 * g * g;
    weight -= f.step_size * (m / (std::sqrt(v) / f.root_correction2 + f.eps));
  }
}

}  // namespace dblocks::optim
