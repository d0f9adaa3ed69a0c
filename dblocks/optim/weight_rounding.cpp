// SPDX-License-Identifier: Apache-2.0
#include "dblocks/optim/weight_rounding.h"

#include <bit>

#include "dblocks/core/error.h"
#include "dblocks/core/rounding_bits.h"
#include "dblocks/optim/simd_clones.h"

namespace dblocks::optim {
namespace {

DBLOCKS_SIMD_CLONES
void round_chunk(int64_t first,
                 int64_t count,
                 uint32_t key,
                 float* __restrict__ weights,
                 uint16_t* __restrict__ stored) {
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits =
        rounded_bits(std::bit_cast<uint32_t>(weights[i]),
                     rounding_bits(key, static_cast<uint32_t>(first + i)));
    weights[i] = std::bit_cast<float>(bits);
    stored[i] = static_cast<uint16_t>(bits >> 16);
  }
}

}  // namespace

void round_weights(std::span<float> weights,
                   std::span<uint16_t> stored,
                   uint32_t key,
                   const ParallelFor& parallel) {
  DBLOCKS_ASSERT(weights.size() == stored.size(),
                 "[round_weights] lengths {} and {}", weights.size(),
                 stored.size());
  for_each_chunk(static_cast<int64_t>(weights.size()), parallel,
                 [&](int64_t begin, int64_t end) {
                   round_chunk(begin, end - begin, key, weights.data() + begin,
                               stored.data() + begin);
                 });
}

}  // namespace dblocks::optim
