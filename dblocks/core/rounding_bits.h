// SPDX-License-Identifier: Apache-2.0
// The random bits of stochastic rounding, the same on every device.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define DBLOCKS_ANY_DEVICE __host__ __device__
#else
#define DBLOCKS_ANY_DEVICE
#endif

namespace dblocks {

/// 16 random bits for element `index` under `key`. A hash, not a stream with a
/// name of its own: four operations an element, where Philox takes eighty.
/// *Source*: the finaliser of MurmurHash3, by Appleby, in the public domain.
DBLOCKS_ANY_DEVICE inline uint32_t rounding_bits(uint32_t key, uint32_t index) {
  uint32_t h = index * 0x9E3779B1U + key;
  h = (h ^ h >> 16) * 0x85EBCA6BU;
  h = (h ^ h >> 13) * 0xC2B2AE35U;
  return (h ^ h >> 16) & 0xFFFFU;
}

/// The bits of a float32, rounded to a number of bfloat16: adding 16 random
/// bits carries into the upper half with the probability of the lower one.
DBLOCKS_ANY_DEVICE inline uint32_t rounded_bits(uint32_t bits,
                                                uint32_t random) {
  return (bits + random) & 0xFFFF0000U;
}

}  // namespace dblocks
