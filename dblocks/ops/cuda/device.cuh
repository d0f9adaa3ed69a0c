// SPDX-License-Identifier: Apache-2.0
// What the kernels share: four elements at a time, sums over a warp.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "dblocks/ops/cuda/kernels.h"

namespace dblocks::ops::cuda {

constexpr int kWarp = 32;

__device__ inline float4 load4(const float* at) {
  return *reinterpret_cast<const float4*>(at);
}

__device__ inline float4 load4(const __nv_bfloat16* at) {
  const uint2 raw = *reinterpret_cast<const uint2*>(at);
  return {__uint_as_float(raw.x << 16), __uint_as_float(raw.x & 0xffff0000u),
          __uint_as_float(raw.y << 16), __uint_as_float(raw.y & 0xffff0000u)};
}

__device__ inline void store4(float* at, float4 value) {
  *reinterpret_cast<float4*>(at) = value;
}

__device__ inline void store4(__nv_bfloat16* at, float4 value) {
  const __nv_bfloat162 low = __floats2bfloat162_rn(value.x, value.y);
  const __nv_bfloat162 high = __floats2bfloat162_rn(value.z, value.w);
  *reinterpret_cast<uint2*>(at) = {*reinterpret_cast<const uint32_t*>(&low),
                                   *reinterpret_cast<const uint32_t*>(&high)};
}

__device__ inline float load1(const float* at) {
  return *at;
}

__device__ inline float load1(const __nv_bfloat16* at) {
  return __bfloat162float(*at);
}

__device__ inline void store1(float* at, float value) {
  *at = value;
}

__device__ inline void store1(__nv_bfloat16* at, float value) {
  *at = __float2bfloat16_rn(value);
}

/// The sum over a warp's lanes, in every lane.
__device__ inline float warp_sum(float value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  }
  return value;
}

inline cudaStream_t as_stream(void* stream) {
  return static_cast<cudaStream_t>(stream);
}

inline unsigned num_blocks(int64_t items, int64_t per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

/// The result of the launch before.
inline const char* launch_result() {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

/// Calls `body` with a null pointer of the element's type.
template <class Body>
void with_element(Element type, const Body& body) {
  if (type == Element::kFloat) {
    body(static_cast<float*>(nullptr));
  } else {
    body(static_cast<__nv_bfloat16*>(nullptr));
  }
}

}  // namespace dblocks::ops::cuda
