// SPDX-License-Identifier: Apache-2.0
#include "dblocks/optim/learning_rate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace dblocks::optim {
namespace {

constexpr int64_t kTotal = 50;

OptimOptions curve(LearningRateSchedule schedule, int64_t warmup_steps) {
  OptimOptions options;
  options.learning_rate = 0.8;
  options.min_learning_rate = 0.2;
  options.schedule = schedule;
  options.warmup_steps = warmup_steps;
  return options;
}

TEST(LearningRateTest, WarmUpRisesByEqualStepsToThePeak) {
  const auto options = curve(LearningRateSchedule::kCosine, 10);
  EXPECT_DOUBLE_EQ(learning_rate(options, 0, kTotal), 0.08);
  EXPECT_DOUBLE_EQ(learning_rate(options, 4, kTotal), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate(options, 9, kTotal), 0.8);
  EXPECT_DOUBLE_EQ(learning_rate(options, 10, kTotal), 0.8);
}

TEST(LearningRateTest, CosineFallsThroughTheMiddleToTheMinimum) {
  const auto options = curve(LearningRateSchedule::kCosine, 10);
  EXPECT_NEAR(learning_rate(options, 20, kTotal), 0.5 + 0.3 * std::sqrt(0.5),
              1e-12);
  EXPECT_NEAR(learning_rate(options, 30, kTotal), 0.5, 1e-12);
  EXPECT_NEAR(learning_rate(options, 50, kTotal), 0.2, 1e-12);
  EXPECT_NEAR(learning_rate(options, 90, kTotal), 0.2, 1e-12);
}

TEST(LearningRateTest, ConstantStaysAtThePeak) {
  const auto options = curve(LearningRateSchedule::kConstant, 2);
  EXPECT_DOUBLE_EQ(learning_rate(options, 0, kTotal), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate(options, 2, kTotal), 0.8);
  EXPECT_DOUBLE_EQ(learning_rate(options, 1000, kTotal), 0.8);
}

TEST(LearningRateTest, WithoutWarmUpTheFirstStepIsAtThePeak) {
  const auto options = curve(LearningRateSchedule::kCosine, 0);
  EXPECT_DOUBLE_EQ(learning_rate(options, 0, kTotal), 0.8);
}

TEST(LearningRateTest, WarmUpAsLongAsTrainingIsAllThereIs) {
  const auto options = curve(LearningRateSchedule::kCosine, 50);
  EXPECT_DOUBLE_EQ(learning_rate(options, 49, kTotal), 0.8);
  EXPECT_DOUBLE_EQ(learning_rate(options, 50, kTotal), 0.2);
}

}  // namespace
}  // namespace dblocks::optim
