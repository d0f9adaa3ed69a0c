// SPDX-License-Identifier: Apache-2.0
#include "dblocks/optim/adamw_int8.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "dblocks/core/error.h"
#include "dblocks/optim/adamw_factors.h"
#include "dblocks/optim/dynamic_code.h"
#include "dblocks/optim/simd_clones.h"

namespace dblocks::optim {
namespace {

using internal::Factors;
using internal::factors_of;

static_assert(kChunkElements % kMomentBlock == 0);

void check_moment(const CodedMoment& moment, size_t count) {
  DBLOCKS_ASSERT(moment.codes.size() == count &&
                     moment.scales.size() * kMomentBlock == count,
                 "[adamw_int8_update] {} weights, {} codes, {} scales", count,
                 moment.codes.size(), moment.scales.size());
}

void check_buffers(const AdamWStep& step, const AdamWInt8Buffers& buffers) {
  const size_t count = buffers.weights.size();
  DBLOCKS_ASSERT(buffers.gradient.size() == count,
                 "[adamw_int8_update] {} weights, {} in the gradient", count,
                 buffers.gradient.size());
  check_moment(buffers.first_moment, count);
  check_moment(buffers.second_moment, count);
  DBLOCKS_ASSERT(buffers.decayed_count >= 0 &&
                     buffers.decayed_count <= static_cast<int64_t>(count) &&
                     buffers.decayed_count % kMomentBlock == 0,
                 "[adamw_int8_update] decayed_count {} of {}",
                 buffers.decayed_count, count);
  DBLOCKS_ASSERT(step.step >= 1, "[adamw_int8_update] step {}", step.step);
}

/// The largest magnitude of a block, in as many running maxima as vectors have
/// lanes.
[[gnu::always_inline]] inline float largest_magnitude(const float* values) {
  constexpr int64_t kLanes = 16;
  float largest[kLanes] = {};
  for (int64_t i = 0; i < kMomentBlock; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const float value = std::fabs(values[i + lane]);
      largest[lane] = largest[lane] < value ? value : largest[lane];
    }
  }
  return *std::max_element(largest, largest + kLanes);
}

/// Byte of a signed magnitude: there is none for -1. Without a branch, since
/// signs are a coin's.
[[gnu::always_inline]] inline uint8_t signed_byte(bool is_negative,
                                                  uint32_t magnitude) {
  const uint32_t sign = is_negative ? 1 : 0;
  const uint32_t known = std::min(magnitude, 128 - sign);
  return static_cast<uint8_t>((known ^ (0 - sign)) + sign);
}

/// One block of kMomentBlock elements.
DBLOCKS_SIMD_CLONES
void update_block(const Factors& factors,
                  float decay,
                  const DynamicCode& signed_code,
                  const DynamicCode& unsigned_code,
                  float* __restrict__ weights,
                  const float* __restrict__ gradient,
                  uint8_t* __restrict__ first_codes,
                  float* __restrict__ first_scale,
                  uint8_t* __restrict__ second_codes,
                  float* __restrict__ second_scale) {
  const Factors f = factors;
  const float* first_values = signed_code.values().data();
  const float* second_values = unsigned_code.values().data();
  float m[kMomentBlock], v[kMomentBlock];
  for (int64_t i = 0; i < kMomentBlock; ++i) {
    m[i] = first_values[first_codes[i]] * *first_scale;
    v[i] = second_values[second_codes[i]] * *second_scale;
  }
  for (int64_t i = 0; i < kMomentBlock; ++i) {
    const float g = gradient[i] * f.gradient_scale;
    m[i] = m[i] + f.one_minus_beta1 * (g - m[i]);
    v[i] = v[i] * f.beta2 + f.one_minus_beta2 * g * g;
    const float denominator = std::sqrt(v[i]) / f.root_correction2 + f.eps;
    weights[i] = weights[i] * decay - f.step_size * (m[i] / denominator);
  }
  *first_scale = largest_magnitude(m);
  *second_scale = largest_magnitude(v);
  const float first_divisor = *first_scale > 0 ? *first_scale : 1;
  const float second_divisor = *second_scale > 0 ? *second_scale : 1;
  for (int64_t i = 0; i < kMomentBlock; ++i) {
    m[i] /= first_divisor;
    v[i] /= second_divisor;
  }
  // Numbers as wide as the floats until the end, so that all is vectorised.
  uint32_t first[kMomentBlock], second[kMomentBlock];
  for (int64_t i = 0; i < kMomentBlock; ++i) {
    first[i] =
        signed_byte(m[i] < 0, signed_code.nearest_magnitude(std::fabs(m[i])));
  }
  for (int64_t i = 0; i < kMomentBlock; ++i) {
    second[i] = std::max<uint32_t>(unsigned_code.nearest_magnitude(v[i]),
                                   v[i] > 0 ? 1 : 0);
  }
  for (int64_t i = 0; i < kMomentBlock; ++i) {
    first_codes[i] = static_cast<uint8_t>(first[i]);
    second_codes[i] = static_cast<uint8_t>(second[i]);
  }
}

}  // namespace

void adamw_int8_update(const AdamWStep& step,
                       const AdamWInt8Buffers& buffers,
                       const ParallelFor& parallel) {
  check_buffers(step, buffers);
  const Factors factors = factors_of(step);
  const auto& with_sign = DynamicCode::with_sign();
  const auto& without_sign = DynamicCode::without_sign();
  for_each_chunk(static_cast<int64_t>(buffers.weights.size()), parallel,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; i += kMomentBlock) {
                     const int64_t block = i / kMomentBlock;
                     update_block(
                         factors,
                         i < buffers.decayed_count ? factors.decay : 1.0F,
                         with_sign, without_sign, buffers.weights.data() + i,
                         buffers.gradient.data() + i,
                         buffers.first_moment.codes.data() + i,
                         buffers.first_moment.scales.data() + block,
                         buffers.second_moment.codes.data() + i,
                         buffers.second_moment.scales.data() + block);
                   }
                 });
}

namespace {

/// The place of what is nearest to `x` in `magnitudes`, the lower one in the
/// middle.
uint32_t search(std::span<const float> magnitudes, float x) {
  uint32_t place = 0;
  while (place + 1 < magnitudes.size() &&
         x > 0.5F * (magnitudes[place] + magnitudes[place + 1])) {
    ++place;
  }
  return place;
}

}  // namespace

void adamw_int8_update_reference(const AdamWStep& step,
                                 const AdamWInt8Buffers& buffers) {
  check_buffers(step, buffers);
  const Factors f = factors_of(step);
  const auto& signed_code = DynamicCode::with_sign();
  const auto& unsigned_code = DynamicCode::without_sign();
  for (size_t block = 0; block < buffers.first_moment.scales.size(); ++block) {
    float& m_scale = buffers.first_moment.scales[block];
    float& v_scale = buffers.second_moment.scales[block];
    const size_t start = block * kMomentBlock;
    std::array<float, kMomentBlock> m{}, v{};
    float m_largest = 0, v_largest = 0;
    for (size_t i = 0; i < kMomentBlock; ++i) {
      float& weight = buffers.weights[start + i];
      m[i] =
          signed_code.values()[buffers.first_moment.codes[start + i]] * m_scale;
      v[i] = unsigned_code.values()[buffers.second_moment.codes[start + i]] *
             v_scale;
      const float g = buffers.gradient[start + i] * f.gradient_scale;
      if (static_cast<int64_t>(start) < buffers.decayed_count) {
        weight *= f.decay;
      }
      m[i] += f.one_minus_beta1 * (g - m[i]);
      v[i] = v[i] * f.beta2 + f.one_minus_beta2 * g * g;
      weight -=
          f.step_size * (m[i] / (std::sqrt(v[i]) / f.root_correction2 + f.eps));
      m_largest = std::max(m_largest, std::fabs(m[i]));
      v_largest = std::max(v_largest, v[i]);
    }
    m_scale = m_largest;
    v_scale = v_largest;
    for (size_t i = 0; i < kMomentBlock; ++i) {
      const float x = m_scale > 0 ? std::fabs(m[i]) / m_scale : 0;
      const float y = v_scale > 0 ? v[i] / v_scale : 0;
      const uint32_t first = search(signed_code.magnitudes(), x);
      const uint32_t second = search(unsigned_code.magnitudes(), y);
      buffers.first_moment.codes[start + i] = signed_byte(m[i] < 0, first);
      buffers.second_moment.codes[start + i] =
          static_cast<uint8_t>(y > 0 && second == 0 ? 1 : second);
    }
  }
}

}  // namespace dblocks::optim
