// SPDX-License-Identifier: Apache-2.0
#include "dblocks/optim/ema.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/core/random.h"
#include "threads.h"

namespace dblocks::optim {
namespace {

TEST(EmaTest, DistanceToFixedWeightsShrinksByTheDecay) {
  std::vector<float> average(37, 1.0F);
  const std::vector<float> weights(37, 3.0F);
  for (int step = 0; step < 10; ++step) {
    ema_update(average, weights, 0.9);
  }
  for (const float value : average) {
    EXPECT_NEAR(value, 3 - 2 * std::pow(0.9, 10), 1e-5);
  }
}

TEST(EmaTest, DecayZeroCopiesAndDecayOneKeeps) {
  std::vector<float> average{1, 2};
  const std::vector<float> weights{5, -6};
  ema_update(average, weights, 1.0);
  EXPECT_EQ(average, (std::vector<float>{1, 2}));
  ema_update(average, weights, 0.0);
  EXPECT_EQ(average, weights);
}

TEST(EmaTest, ResultDoesNotDependOnThreads) {
  std::vector<float> weights(3 * kChunkElements + 9);
  RandomStream(3, RandomPurpose::kNoise, 0, 0).fill_normal(weights);
  std::vector<float> alone(weights.size(), 0.5F);
  std::vector<float> together = alone;
  ema_update(alone, weights, 0.999);
  ema_update(together, weights, 0.999, backwards_on_threads(3));
  EXPECT_EQ(alone, together);
}

TEST(EmaTest, DecayOutsideOfZeroToOneIsRefused) {
  std::vector<float> average(1);
  const std::vector<float> weights(1);
  EXPECT_THROW(ema_update(average, weights, 1.5), ConfigError);
  EXPECT_THROW(ema_update(average, weights, NAN), ConfigError);
}

}  // namespace
}  // namespace dblocks::optim
