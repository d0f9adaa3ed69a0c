// SPDX-License-Identifier: Apache-2.0
// AdamW on moments of 8 bits: a block of threads takes a block of moments, a
// thread an element. Built without fused multiply-adds: the bits of
// optim/adamw_int8.cpp.
#include "dblocks/ops/cuda/device.cuh"
#include "dblocks/ops/cuda/launches.h"
#include "dblocks/ops/cuda/rounding.cuh"

namespace dblocks::ops::cuda {
namespace {

constexpr int kMoments = 256;  // that share a scale

__device__ float block_max(float value) {
  __shared__ float values[kMoments];
  values[threadIdx.x] = value;
  __syncthreads();
  for (int half = kMoments / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) {
      values[threadIdx.x] =
          fmaxf(values[threadIdx.x], values[threadIdx.x + half]);
    }
    __syncthreads();
  }
  const float largest = values[0];
  __syncthreads();
  return largest;
}

/// The place of the magnitude nearest to x, the lower one in the middle: the
/// number of middles below x.
__device__ int nearest(const float* middles, int count, float x) {
  int low = 0, high = count - 1;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (x > middles[middle]) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

__global__ void adamw_int8_kernel(FlatBuffers b,
                                  CodeTables tables,
                                  const UpdateFactors* factors) {
  const UpdateFactors f = *factors;
  if (f.skip != 0) {
    return;
  }
  const int64_t block = blockIdx.x;
  const int64_t at = block * kMoments + threadIdx.x;
  auto* first = static_cast<uint8_t*>(b.first_moment);
  auto* second = static_cast<uint8_t*>(b.second_moment);
  float m = tables.first_values[first[at]] * b.first_scales[block];
  float v = tables.second_values[second[at]] * b.second_scales[block];
  const float g = b.gradient[at] * f.gradient_scale;
  m = m + f.one_minus_beta1 * (g - m);
  v = v * f.beta2 + f.one_minus_beta2 * g * g;
  const float decay = at < b.decayed_count ? f.decay : 1.0f;
  float w = b.weights[at] * decay -
            f.step_size * (m / (sqrtf(v) / f.root_correction2 + f.eps));
  if (b.stored_weights != nullptr) {
    w = store_rounded(b, f, at, w);
  }
  b.weights[at] = w;
#pragma unroll
  for (const FlatAverage& average : b.averages) {
    if (average.values != nullptr) {
      const float a = average.values[at];
      average.values[at] = a + average.step * (w - a);
    }
  }
  const float m_scale = block_max(fabsf(m)), v_scale = block_max(fabsf(v));
  const float x = fabsf(m) / (m_scale > 0 ? m_scale : 1);
  const float y = v / (v_scale > 0 ? v_scale : 1);
  const int place = nearest(tables.first_middles, tables.num_first, x);
  // There is no code for -1.
  const int code = m < 0 ? (256 - min(place, tables.num_first - 2)) & 255
                         : place;
  first[at] = static_cast<uint8_t>(code);
  second[at] = static_cast<uint8_t>(
      max(nearest(tables.second_middles, tables.num_second, y), y > 0 ? 1 : 0));
  if (threadIdx.x == 0) {
    b.first_scales[block] = m_scale;
    b.second_scales[block] = v_scale;
  }
}

}  // namespace

const char* adamw_int8(const FlatBuffers& buffers,
                       const CodeTables& tables,
                       const UpdateFactors* factors,
                       void* stream) {
  if (buffers.count > 0) {
    adamw_int8_kernel<<<num_blocks(buffers.count, kMoments), kMoments, 0,
                        as_stream(stream)>>>(buffers, tables, factors);
  }
  return launch_result();
}

}  // namespace dblocks::ops::cuda
