// SPDX-License-Identifier: Apache-2.0
#include "dblocks/optim/ema.h"

#include "dblocks/core/error.h"
#include "dblocks/optim/simd_clones.h"

namespace dblocks::optim {
namespace {

DBLOCKS_SIMD_CLONES
void move_towards(int64_t count,
                  float share,
                  float* __restrict__ average,
                  const float* __restrict__ weights) {
  for (int64_t i = 0; i < count; ++i) {
    average[i] = average[i] + share * (weights[i] - average[i]);
  }
}

}  // namespace

void ema_update(std::span<float> average,
                std::span<const float> weights,
                double decay,
                const ParallelFor& parallel) {
  DBLOCKS_CHECK(decay >= 0 && decay <= 1, ConfigError,
                "[ema_update] expected a decay in [0, 1], found {}. Hint: "
                "0.999 averages over about the last thousand steps.",
                decay);
  DBLOCKS_ASSERT(average.size() == weights.size(),
                 "[ema_update] lengths {} and {}", average.size(),
                 weights.size());
  const float share = static_cast<float>(1 - decay);
  for_each_chunk(static_cast<int64_t>(average.size()), parallel,
                 [&](int64_t begin, int64_t end) {
                   move_towards(end - begin, share, average.data() + begin,
                                weights.data() + begin);
                 });
}

}  // namespace dblocks::optim
