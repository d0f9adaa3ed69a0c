// SPDX-License-Identifier: Apache-2.0
// GELU and its derivative in one pass.
#include "dblocks/ops/cuda/device.cuh"
#include "dblocks/ops/cuda/launches.h"

namespace dblocks::ops::cuda {
namespace {

constexpr int kThreads = 256;

struct ValueAndSlope {
  float value, slope;
};

__device__ ValueAndSlope exact(float x) {
  const float cdf = 0.5f * (1 + erff(x * 0.70710678118654752f));
  const float density = 0.39894228040143268f * expf(-0.5f * x * x);
  return {x * cdf, cdf + x * density};
}

/// x s(2 u), with s the logistic function and u the cubic below: the same as
/// x / 2 (1 + tanh(u)).
__device__ ValueAndSlope with_tanh(float x) {
  constexpr float kScale = 0.79788456080286536f;  // sqrt(2 / pi)
  const float u = kScale * (x + 0.044715f * x * x * x);
  const float t = tanhf(u);
  const float du = kScale * (1 + 3 * 0.044715f * x * x);
  return {0.5f * x * (1 + t), 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * du};
}

template <bool is_tanh, class T>
__global__ void gelu_kernel(int64_t count,
                            const T* __restrict__ x,
                            T* __restrict__ value,
                            T* __restrict__ slope) {
  const int64_t at = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * 4;
  if (at >= count) {
    return;
  }
  const float4 in = load4(x + at);
  const auto f = [](float a) { return is_tanh ? with_tanh(a) : exact(a); };
  const ValueAndSlope a = f(in.x), b = f(in.y), c = f(in.z), d = f(in.w);
  store4(value + at, {a.value, b.value, c.value, d.value});
  if (slope != nullptr) {
    store4(slope + at, {a.slope, b.slope, c.slope, d.slope});
  }
}

template <bool is_tanh>
void launch(Element type,
            int64_t count,
            const void* x,
            void* value,
            void* slope,
            void* stream) {
  with_element(type, [&](auto* tag) {
    using Pointer = decltype(tag);
    gelu_kernel<is_tanh>
        <<<num_blocks(count / 4, kThreads), kThreads, 0, as_stream(stream)>>>(
            count, static_cast<Pointer>(const_cast<void*>(x)),
            static_cast<Pointer>(value), static_cast<Pointer>(slope));
  });
}

}  // namespace

const char* gelu(bool is_tanh,
                 Element type,
                 int64_t count,
                 const void* x,
                 void* value,
                 void* slope,
                 void* stream) {
  if (is_tanh) {
    launch<true>(type, count, x, value, slope, stream);
  } else {
    launch<false>(type, count, x, value, slope, stream);
  }
  return launch_result();
}

}  // namespace dblocks::ops::cuda
