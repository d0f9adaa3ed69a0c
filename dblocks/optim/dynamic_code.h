// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <span>

namespace dblocks::optim {

/// Numbers of [-1, 1], or of [0, 1], as bytes: more of them per decade the
/// larger the decade, over seven decades. Decade i = 0 .. 6, from 10^(i - 7) to
/// 10^(i - 6), is cut into 2^i equal pieces, unsigned 2^(i + 1), and the middle
/// of each piece has a code; so have 0 and 1.
///
/// Byte 0 stands for 0, byte k for the k-th positive number; negative numbers
/// count down from 255. There is no -1.
/// *Threads*: safe.
/// *Source*: dynamic tree quantisation, Dettmers et al. 2022, arXiv 2110.02861,
/// section 2.2; the numbers are those of its published code.
class DynamicCode {
 public:
  /// Both codes are made once.
  static const DynamicCode& with_sign();
  static const DynamicCode& without_sign();

  /// All positive numbers that have a code, and 0, rising.
  std::span<const float> magnitudes() const {
    return {magnitudes_.data(), num_magnitudes_};
  }
  /// The number that each byte stands for.
  const std::array<float, 256>& values() const { return values_; }

  /// The place in magnitudes() of what is nearest to `x`; the lower one in the
  /// middle. Requires: 0 <= x <= 1.
  uint32_t nearest_magnitude(float x) const {
    const uint32_t bits = std::bit_cast<uint32_t>(x) >> kDroppedBits;
    const uint32_t lowest = starts_[std::max(bits, kFirstBits) - kFirstBits];
    return lowest + (x > middles_[lowest] ? 1 : 0);
  }

 private:
  explicit DynamicCode(bool is_signed);

  // Numbers that agree in their sign, exponent and first seven bits lie between
  // at most two neighbours, so one comparison ends the search. All below 2^-24
  // are nearest to 0.
  static constexpr uint32_t kDroppedBits = 16;
  static constexpr uint32_t kFirstBits = (127 - 24) << 7;
  static constexpr uint32_t kNumStarts = (24 << 7) + 1;

  size_t num_magnitudes_ = 0;
  std::array<float, 256> magnitudes_{};
  std::array<float, 256> middles_{};  // between a magnitude and the next
  std::array<float, 256> values_{};
  std::array<uint32_t, kNumStarts> starts_{};
};

}  // namespace dblocks::optim
