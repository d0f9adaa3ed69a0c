// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace dblocks::ops::cuda {

/// Philox4x32-10, as in core/random.cpp. *Source*: Salmon et al. 2011,
/// "Parallel random numbers: as easy as 1, 2, 3".
__device__ inline uint4 philox(uint4 c, uint64_t key) {
  auto k0 = static_cast<uint32_t>(key);
  auto k1 = static_cast<uint32_t>(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c.x;
    const uint64_t p1 = uint64_t{0xCD9E8D57} * c.z;
    c = {static_cast<uint32_t>(p1 >> 32) ^ c.y ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c.w ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

}  // namespace dblocks::ops::cuda
