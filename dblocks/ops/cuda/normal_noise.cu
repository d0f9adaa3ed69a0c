// SPDX-License-Identifier: Apache-2.0
// Standard normal numbers from a counter-based stream, those of
// core/random.cpp: a thread turns four words into two numbers.
#include "dblocks/ops/cuda/device.cuh"
#include "dblocks/ops/cuda/launches.h"
#include "dblocks/ops/cuda/philox.cuh"

namespace dblocks::ops::cuda {
namespace {

constexpr int kThreads = 256;

__device__ double uniform(uint32_t high, uint32_t low) {
  const uint64_t bits = (uint64_t{high} << 32 | low) >> 11;
  return static_cast<double>(bits) * 0x1.0p-53;
}

__global__ void normal_kernel(uint64_t key,
                              uint32_t a,
                              uint32_t b,
                              int64_t count,
                              float* __restrict__ out) {
  const int64_t pair = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (2 * pair >= count) {
    return;
  }
  const auto counter = static_cast<uint64_t>(pair);
  const uint4 words = philox({static_cast<uint32_t>(counter),
                              static_cast<uint32_t>(counter >> 32), a, b},
                             key);
  const double radius = sqrt(-2 * log(1 - uniform(words.x, words.y)));
  double sine = 0, cosine = 0;
  sincos(6.283185307179586476925 * uniform(words.z, words.w), &sine, &cosine);
  out[2 * pair] = static_cast<float>(radius * cosine);
  if (2 * pair + 1 < count) {
    out[2 * pair + 1] = static_cast<float>(radius * sine);
  }
}

}  // namespace

const char* fill_normal(uint64_t key,
                        uint32_t a,
                        uint32_t b,
                        int64_t count,
                        float* out,
                        void* stream) {
  normal_kernel<<<num_blocks((count + 1) / 2, kThreads), kThreads, 0,
                  as_stream(stream)>>>(key, a, b, count, out);
  return launch_result();
}

}  // namespace dblocks::ops::cuda
