// SPDX-License-Identifier: Apache-2.0
// bfloat16 numbers as bit patterns, for kernels without LibTorch.
#pragma once

#include <bit>
#include <cstdint>

namespace dblocks::ops::internal {

[[gnu::always_inline]] inline float widen(float value) {
  return value;
}

[[gnu::always_inline]] inline float widen(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// Rounds to nearest even. NaN stays NaN: its quiet bit is in the upper half.
[[gnu::always_inline]] inline void narrow(float value, uint16_t& result) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  result = static_cast<uint16_t>(
      (value != value ? bits | 0x400000u : rounded) >> 16);
}

[[gnu::always_inline]] inline void narrow(float value, float& result) {
  result = value;
}

}  // namespace dblocks::ops::internal
