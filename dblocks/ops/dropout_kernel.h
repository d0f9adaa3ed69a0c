// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace dblocks::ops::internal {

/// Elements are dropped in groups of this many, whose random words are made
/// together; a call for a part of a tensor is fastest at multiples of it.
inline constexpr int64_t kDropoutGroup = 64;

/// y[i] = x[i] * scale where element first + i is kept, else 0. Whether it is
/// kept depends on (key, index of the element) alone: it is where a word of
/// Philox4x32-10 with that key is at least `threshold`. The 16-bit form reads
/// and writes bfloat16 bit patterns.
/// Requires: first >= 0; x == y or no overlap.
struct DropoutRule {
  uint64_t key;
  uint32_t threshold;  ///< the share dropped, times 2^32
  float scale;
};
void drop(const DropoutRule& rule,
          int64_t first,
          int64_t count,
          const float* x,
          float* y);
void drop(const DropoutRule& rule,
          int64_t first,
          int64_t count,
          const uint16_t* x,
          uint16_t* y);

}  // namespace dblocks::ops::internal
