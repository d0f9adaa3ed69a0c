// SPDX-License-Identifier: Apache-2.0
// Dropout that keeps what the CPU's kernel keeps: a thread makes the four
// random words of one lane of a group of 64 elements.
#include "dblocks/ops/cuda/device.cuh"
#include "dblocks/ops/cuda/launches.h"
#include "dblocks/ops/cuda/philox.cuh"

namespace dblocks::ops::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kGroup = 64;
constexpr int64_t kLanes = 16;

template <class T>
__global__ void drop_kernel(DropRule rule,
                            int64_t first,
                            int64_t count,
                            const T* __restrict__ x,
                            T* __restrict__ y) {
  const int64_t thread = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t group = first / kGroup + thread / kLanes;
  const int64_t lane = thread % kLanes;
  const auto counter = static_cast<uint64_t>(group * kLanes + lane);
  const uint64_t key = rule.stored_key == nullptr ? rule.key : *rule.stored_key;
  const uint4 words = philox({static_cast<uint32_t>(counter),
                              static_cast<uint32_t>(counter >> 32), 0, 0},
                             key);
  const uint32_t word[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int64_t at = group * kGroup + i * kLanes + lane - first;
    if (at >= 0 && at < count) {
      const float kept = word[i] >= rule.threshold ? rule.scale : 0.0f;
      store1(y + at, load1(x + at) * kept);
    }
  }
}

}  // namespace

const char* drop(const DropRule& rule,
                 int64_t first,
                 Element type,
                 int64_t count,
                 const void* x,
                 void* y,
                 void* stream) {
  const int64_t groups =
      (first + count + kGroup - 1) / kGroup - first / kGroup;
  with_element(type, [&](auto* tag) {
    using Pointer = decltype(tag);
    drop_kernel<<<num_blocks(groups * kLanes, kThreads), kThreads, 0,
                  as_stream(stream)>>>(
        rule, first, count, static_cast<Pointer>(const_cast<void*>(x)),
        static_cast<Pointer>(y));
  });
  return launch_result();
}

}  // namespace dblocks::ops::cuda
