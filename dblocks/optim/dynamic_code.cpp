// SPDX-License-Identifier: Apache-2.0
#include "dblocks/optim/dynamic_code.h"

#include <cmath>
#include <limits>

namespace dblocks::optim {

DynamicCode::DynamicCode(bool is_signed) {
  magnitudes_[num_magnitudes_++] = 0;
  for (int decade = 0; decade < 7; ++decade) {
    const int pieces = 1 << (is_signed ? decade : decade + 1);
    for (int piece = 0; piece < pieces; ++piece) {
      const double middle = 0.1 + 0.9 * (piece + 0.5) / pieces;
      magnitudes_[num_magnitudes_++] =
          static_cast<float>(middle * std::pow(10.0, decade - 6));
    }
  }
  magnitudes_[num_magnitudes_++] = 1;
  for (size_t i = 0; i < num_magnitudes_; ++i) {
    const bool is_last = i + 1 == num_magnitudes_;
    middles_[i] = is_last ? std::numeric_limits<float>::infinity()
                          : 0.5F * (magnitudes_[i] + magnitudes_[i + 1]);
    values_[i] = magnitudes_[i];
    if (is_signed && i > 0 && !is_last) {
      values_[256 - i] = -magnitudes_[i];
    }
  }
  uint32_t nearest = 0;
  for (uint32_t i = 0; i < kNumStarts; ++i) {
    const auto lowest = std::bit_cast<float>((kFirstBits + i) << kDroppedBits);
    while (lowest > middles_[nearest]) {
      ++nearest;
    }
    starts_[i] = nearest;
  }
}

const DynamicCode& DynamicCode::with_sign() {
  static const DynamicCode code(true);
  return code;
}

const DynamicCode& DynamicCode::without_sign() {
  static const DynamicCode code(false);
  return code;
}

}  // namespace dblocks::optim
