// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dblocks/core/fields.h"

namespace dblocks {

/// How the optimiser's two moments are stored.
enum class MomentFormat {
  kFp32,
  kInt8,  ///< a byte each and a float32 scale per kMomentBlock elements
};

inline constexpr auto kMomentFormatNames =
    std::to_array<EnumName<MomentFormat>>(
        {{MomentFormat::kFp32, "fp32"}, {MomentFormat::kInt8, "int8"}});
inline auto enum_names(MomentFormat) {
  return std::span(kMomentFormatNames);
}

/// Elements of 8-bit moments that share a scale.
inline constexpr int64_t kMomentBlock = 256;

/// How weights that are trained are stored.
enum class WeightFormat {
  kFp32,
  kBf16,  ///< every update ends in stochastic rounding; no other copy is kept
};

inline constexpr auto kWeightFormatNames =
    std::to_array<EnumName<WeightFormat>>(
        {{WeightFormat::kFp32, "fp32"}, {WeightFormat::kBf16, "bf16"}});
inline auto enum_names(WeightFormat) {
  return std::span(kWeightFormatNames);
}

/// Running averages of the weights that a state may keep.
inline constexpr int64_t kMaxAverages = 2;

/// How a state is stored.
struct StateFormat {
  MomentFormat moments = MomentFormat::kFp32;
  WeightFormat weights = WeightFormat::kFp32;
  int64_t averages = 0;  ///< running averages of the weights, in float32
};

}  // namespace dblocks
