// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace dblocks::ops::internal {

/// value[i] = gelu(x[i]) and slope[i] = gelu'(x[i]). Computed in float32; the
/// 16-bit form reads and writes bfloat16 bit patterns, rounded to nearest even.
/// Requires: the arrays do not overlap.
void gelu_with_slope(const float* x, float* value, float* slope, int64_t count);
void gelu_with_slope(const uint16_t* x,
                     uint16_t* value,
                     uint16_t* slope,
                     int64_t count);

/// The same for GELU's tanh approximation.
void gelu_tanh_with_slope(const float* x,
                          float* value,
                          float* slope,
                          int64_t count);
void gelu_tanh_with_slope(const uint16_t* x,
                          uint16_t* value,
                          uint16_t* slope,
                          int64_t count);

}  // namespace dblocks::ops::internal
