// SPDX-License-Identifier: Apache-2.0
#include "dblocks/optim/weight_rounding.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "dblocks/core/random.h"
#include "threads.h"

namespace dblocks::optim {
namespace {

float as_float(uint32_t bits) {
  return std::bit_cast<float>(bits);
}

std::vector<float> normal_weights(size_t count) {
  std::vector<float> weights(count);
  RandomStream(3, RandomPurpose::kNoise, 0, 0).fill_normal(weights);
  return weights;
}

TEST(RoundWeightsTest, EachWeightGoesToOneOfItsTwoNeighbours) {
  const std::vector<float> before = normal_weights(10000);
  std::vector<float> weights = before;
  std::vector<uint16_t> stored(weights.size());
  round_weights(weights, stored, 17);
  for (size_t i = 0; i < weights.size(); ++i) {
    const auto bits = std::bit_cast<uint32_t>(before[i]);
    const float inner = as_float(bits & 0xFFFF0000);
    const float outer = as_float((bits & 0xFFFF0000) + 0x10000);
    EXPECT_TRUE(weights[i] == inner || weights[i] == outer) << before[i];
    EXPECT_EQ(as_float(uint32_t{stored[i]} << 16), weights[i]);
  }
}

TEST(RoundWeightsTest, NumbersOfBfloat16Stay) {
  std::vector<float> weights{
      0.0F, -0.0F, 1.0F, -2.5F, 1e-40F, std::numeric_limits<float>::infinity()};
  for (float& weight : weights) {
    weight = as_float(std::bit_cast<uint32_t>(weight) & 0xFFFF0000);
  }
  const std::vector<float> before = weights;
  std::vector<uint16_t> stored(weights.size());
  for (uint32_t key = 0; key < 100; ++key) {
    round_weights(weights, stored, key);
    EXPECT_EQ(weights, before);
  }
}

/// The mean of n roundings of 1 + share of the distance to the next number is
/// that weight, with the spread of a binomial.
TEST(RoundWeightsTest, IsRightOnAverageOverElementsAndOverKeys) {
  constexpr size_t kCount = 1 << 16;
  constexpr float kDistance = 1.0F / 128;
  for (const float share : {1.0F / 1024, 0.1F, 0.5F, 0.97F}) {
    const double spread = std::sqrt(share * (1 - share) / kCount) * kDistance;
    const float weight = 1 + share * kDistance;
    const double exact = weight;
    std::vector<float> weights(kCount, weight);
    std::vector<uint16_t> stored(kCount);
    round_weights(weights, stored, 5);
    double sum = 0;
    for (const float rounded : weights) {
      sum += rounded;
    }
    EXPECT_NEAR(sum / kCount, exact, 5 * spread) << share;
    sum = 0;
    for (uint32_t key = 0; key < kCount; ++key) {
      float one = weight;
      round_weights({&one, 1}, {stored.data(), 1}, key * 2654435769U + 12345);
      sum += one;
    }
    EXPECT_NEAR(sum / kCount, exact, 5 * spread) << share;
  }
}

TEST(RoundWeightsTest, ResultDoesNotDependOnThreads) {
  std::vector<float> alone = normal_weights(3 * kChunkElements + 9);
  std::vector<float> together = alone;
  std::vector<uint16_t> stored(alone.size());
  round_weights(alone, stored, 8);
  round_weights(together, stored, 8, backwards_on_threads(3));
  EXPECT_EQ(alone, together);
}

}  // namespace
}  // namespace dblocks::optim
