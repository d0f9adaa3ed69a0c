// SPDX-License-Identifier: Apache-2.0
#include "dblocks/optim/gradient_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "dblocks/core/random.h"
#include "threads.h"

namespace dblocks::optim {
namespace {

TEST(GradientNormTest, OfThreeAndFourIsFive) {
  EXPECT_EQ(gradient_norm(std::vector<float>{3, -4}), 5.0);
  EXPECT_EQ(gradient_norm(std::vector<float>{}), 0.0);
}

TEST(GradientNormTest, CountsEveryElementOfAwkwardLengths) {
  for (const size_t count : {1, 15, 17, 32768, 32769, 100003}) {
    const std::vector<float> twos(count, 2.0F);
    EXPECT_EQ(gradient_norm(twos), std::sqrt(4.0 * static_cast<double>(count)));
  }
}

TEST(GradientNormTest, DoesNotDependOnThreads) {
  std::vector<float> gradient(7 * kChunkElements + 5);
  RandomStream(1, RandomPurpose::kNoise, 0, 0).fill_normal(gradient);
  const double alone = gradient_norm(gradient);
  EXPECT_EQ(gradient_norm(gradient, backwards_on_threads(2)), alone);
  EXPECT_EQ(gradient_norm(gradient, backwards_on_threads(5)), alone);
}

// The squares of both are far outside of float.
TEST(GradientNormTest, StaysExactWhereSquaresLeaveFloat) {
  const std::vector<float> huge(4, 0x1p120F);
  EXPECT_EQ(gradient_norm(huge), 0x1p121);
  const std::vector<float> tiny(4, 0x1p-120F);
  EXPECT_EQ(gradient_norm(tiny), 0x1p-119);
}

TEST(GradientNormTest, OneBadElementMakesItNonFinite) {
  for (const size_t position : {size_t{0}, size_t{40000}, size_t{65540}}) {
    std::vector<float> gradient(65541, 1.0F);
    gradient[position] = std::numeric_limits<float>::infinity();
    EXPECT_FALSE(std::isfinite(gradient_norm(gradient)));
    gradient[position] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_FALSE(std::isfinite(gradient_norm(gradient)));
  }
}

TEST(ClipScaleTest, ShrinksLongGradientsToTheLimitAndLeavesShortOnes) {
  EXPECT_NEAR(clip_scale(10.0, 2.0), 0.2, 1e-7);
  EXPECT_EQ(clip_scale(1.0, 2.0), 1.0);
  EXPECT_EQ(clip_scale(0.0, 2.0), 1.0);
  EXPECT_EQ(clip_scale(1e9, 0.0), 1.0) << "0 means no limit";
}

}  // namespace
}  // namespace dblocks::optim
