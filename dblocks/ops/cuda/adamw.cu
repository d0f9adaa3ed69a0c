// SPDX-License-Identifier: Apache-2.0
// AdamW over flat buffers and the running averages, one pass over memory. Built
// without fused multiply-adds: the bits of optim/adamw.cpp.
#include "dblocks/ops/cuda/device.cuh"
#include "dblocks/ops/cuda/launches.h"
#include "dblocks/ops/cuda/rounding.cuh"

namespace dblocks::ops::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void adamw_kernel(FlatBuffers b, const UpdateFactors* factors) {
  const UpdateFactors f = *factors;
  const int64_t at = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * 4;
  if (at >= b.count || f.skip != 0) {
    return;
  }
  // A multiple of 16 elements is decayed, so that four are or are not.
  const float decay = at < b.decayed_count ? f.decay : 1.0f;
  auto* first = static_cast<float*>(b.first_moment) + at;
  auto* second = static_cast<float*>(b.second_moment) + at;
  float4 w = load4(b.weights + at), m = load4(first), v = load4(second);
  const float4 gradient = load4(b.gradient + at);
  const auto update = [&](float& w, float& m, float& v, float raw) {
    const float g = raw * f.gradient_scale;
    m = m + f.one_minus_beta1 * (g - m);
    v = v * f.beta2 + f.one_minus_beta2 * g * g;
    w = w * decay - f.step_size * (m / (sqrtf(v) / f.root_correction2 + f.eps));
  };
  update(w.x, m.x, v.x, gradient.x);
  update(w.y, m.y, v.y, gradient.y);
  update(w.z, m.z, v.z, gradient.z);
  update(w.w, m.w, v.w, gradient.w);
  if (b.stored_weights != nullptr) {
    w = {store_rounded(b, f, at, w.x), store_rounded(b, f, at + 1, w.y),
         store_rounded(b, f, at + 2, w.z), store_rounded(b, f, at + 3, w.w)};
  }
  store4(b.weights + at, w);
  store4(first, m);
  store4(second, v);
#pragma unroll
  for (const FlatAverage& average : b.averages) {
    if (average.values != nullptr) {
      float4 a = load4(average.values + at);
      const float s = average.step;
      a = {a.x + s * (w.x - a.x), a.y + s * (w.y - a.y), a.z + s * (w.z - a.z),
           a.w + s * (w.w - a.w)};
      store4(average.values + at, a);
    }
  }
}

}  // namespace

const char* adamw(const FlatBuffers& buffers,
                  const UpdateFactors* factors,
                  void* stream) {
  if (buffers.count > 0) {
    adamw_kernel<<<num_blocks(buffers.count / 4, kThreads), kThreads, 0,
                   as_stream(stream)>>>(buffers, factors);
  }
  return launch_result();
}

}  // namespace dblocks::ops::cuda
