// SPDX-License-Identifier: Apache-2.0
// The gated residual, out = h + gate * branch, and its gradients.
#include "dblocks/ops/cuda/device.cuh"
#include "dblocks/ops/cuda/launches.h"

namespace dblocks::ops::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kGroups = 8;

template <class In>
__global__ void gate_kernel(RowShape shape,
                            const float* __restrict__ h,
                            const In* __restrict__ branch,
                            const float* __restrict__ gate,
                            int64_t gate_stride,
                            float* __restrict__ out) {
  const int64_t at = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * 4;
  const int64_t per_sample = shape.rows * shape.width;
  if (at >= shape.samples * per_sample) {
    return;
  }
  const int64_t sample = at / per_sample, column = at % shape.width;
  const float4 a = load4(h + at), b = load4(branch + at);
  const float4 g = load4(gate + sample * gate_stride + column);
  store4(out + at, {a.x + g.x * b.x, a.y + g.y * b.y, a.z + g.z * b.z,
                    a.w + g.w * b.w});
}

template <class In>
__global__ void gate_backward_kernel(RowShape shape,
                                     const float* __restrict__ dy,
                                     const In* __restrict__ branch,
                                     const float* __restrict__ gate,
                                     int64_t gate_stride,
                                     In* __restrict__ dbranch,
                                     float* __restrict__ dgate) {
  __shared__ float partial[kGroups][kWarp];
  const int64_t column = int64_t{blockIdx.x} * kWarp + threadIdx.x;
  const int64_t sample = blockIdx.y;
  float sum = 0;
  if (column < shape.width) {
    const float g = gate[sample * gate_stride + column];
    for (int64_t i = threadIdx.y; i < shape.rows; i += kGroups) {
      const int64_t at = (sample * shape.rows + i) * shape.width + column;
      sum += dy[at] * load1(branch + at);
      store1(dbranch + at, dy[at] * g);
    }
  }
  partial[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y == 0 && column < shape.width) {
    for (int group = 1; group < kGroups; ++group) {
      sum += partial[group][threadIdx.x];
    }
    dgate[sample * shape.width + column] = sum;
  }
}

}  // namespace

const char* gate(const RowShape& shape,
                 const float* h,
                 Element type,
                 const void* branch,
                 const float* gate,
                 int64_t gate_stride,
                 float* out,
                 void* stream) {
  const int64_t count = shape.samples * shape.rows * shape.width;
  with_element(type, [&](auto* tag) {
    gate_kernel<<<num_blocks(count / 4, kThreads), kThreads, 0,
                  as_stream(stream)>>>(
        shape, h, static_cast<decltype(tag)>(const_cast<void*>(branch)), gate,
        gate_stride, out);
  });
  return launch_result();
}

const char* gate_backward(const RowShape& shape,
                          const float* dy,
                          Element type,
                          const void* branch,
                          const float* gate,
                          int64_t gate_stride,
                          void* dbranch,
                          float* dgate,
                          void* stream) {
  const dim3 columns(num_blocks(shape.width, kWarp),
                     static_cast<unsigned>(shape.samples));
  with_element(type, [&](auto* tag) {
    gate_backward_kernel<<<columns, dim3(kWarp, kGroups), 0,
                           as_stream(stream)>>>(
        shape, dy, static_cast<decltype(tag)>(const_cast<void*>(branch)), gate,
        gate_stride, static_cast<decltype(tag)>(dbranch), dgate);
  });
  return launch_result();
}

}  // namespace dblocks::ops::cuda
