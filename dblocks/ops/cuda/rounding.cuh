// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dblocks/core/rounding_bits.h"
#include "dblocks/ops/cuda/kernels.h"

namespace dblocks::ops::cuda {

/// Weight `at`, rounded to bfloat16 and stored: the bits of
/// optim/weight_rounding.cpp.
__device__ inline float store_rounded(const FlatBuffers& buffers,
                                      const UpdateFactors& factors,
                                      int64_t at,
                                      float weight) {
  const uint32_t bits = rounded_bits(
      __float_as_uint(weight),
      rounding_bits(factors.rounding_key, static_cast<uint32_t>(at)));
  buffers.stored_weights[at] = static_cast<uint16_t>(bits >> 16);
  return __uint_as_float(bits);
}

}  // namespace dblocks::ops::cuda
