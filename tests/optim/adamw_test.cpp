// SPDX-License-Identifier: Apache-2.0
#include "dblocks/optim/adamw.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "adamw_fixture.h"
#include "dblocks/core/error.h"
#include "dblocks/core/random.h"
#include "dblocks/optim/gradient_norm.h"
#include "threads.h"

namespace dblocks::optim {
namespace {

struct State {
  std::vector<float> weights;
  std::vector<float> first_moment;
  std::vector<float> second_moment;

  explicit State(std::vector<float> start)
      : weights(std::move(start)),
        first_moment(weights.size()),
        second_moment(weights.size()) {}

  AdamWBuffers buffers(std::span<const float> gradient, int64_t decayed_count) {
    return {weights, gradient, first_moment, second_moment, decayed_count};
  }

  bool operator==(const State& other) const = default;
};

std::vector<float> random_values(size_t count, uint64_t key) {
  std::vector<float> values(count);
  RandomStream(7, RandomPurpose::kNoise, key, 0).fill_normal(values);
  return values;
}

// Distance in representable numbers.
int64_t ulps(float a, float b) {
  const auto order = [](float x) -> int64_t {
    const auto bits = std::bit_cast<int32_t>(x);
    return bits < 0 ? std::numeric_limits<int32_t>::min() - int64_t{bits}
                    : bits;
  };
  return std::abs(order(a) - order(b));
}

template <class Expected>
void expect_close(const std::vector<float>& found, const Expected& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i], expected[i], 1e-7) << "element " << i;
  }
}

TEST(AdamWTest, TwentyClippedStepsGiveTheWeightsAndMomentsOfPyTorch) {
  namespace f = adamw_fixture;
  State state({f::kStart.begin(), f::kStart.end()});
  AdamWStep step{.learning_rate = 2e-2,
                 .weight_decay = 0.1,
                 .beta1 = 0.9,
                 .beta2 = 0.95,
                 .eps = 1e-8};
  for (size_t t = 0; t < f::kGradients.size(); ++t) {
    const double norm = gradient_norm(f::kGradients[t]);
    EXPECT_NEAR(norm, f::kNorms[t], 1e-6);
    step.step = static_cast<int64_t>(t) + 1;
    step.gradient_scale = clip_scale(norm, 1.0);
    adamw_update(step, state.buffers(f::kGradients[t], f::kNumDecayed));
    if (t == 0) {
      expect_close(state.weights, f::kAfterStep1);
    }
  }
  expect_close(state.weights, f::kAfterStep20);
  expect_close(state.first_moment, f::kFirstMoment);
  expect_close(state.second_moment, f::kSecondMoment);
}

TEST(AdamWTest, FirstStepWithoutDecayMovesEachWeightByTheLearningRate) {
  State state({1, 1, 1});
  const std::vector<float> gradient{5, -0.25F, 1e-3F};
  adamw_update({.learning_rate = 0.125, .weight_decay = 0},
               state.buffers(gradient, 3));
  EXPECT_NEAR(state.weights[0], 0.875, 1e-6);
  EXPECT_NEAR(state.weights[1], 1.125, 1e-6);
  EXPECT_NEAR(state.weights[2], 0.875, 2e-6);  // eps / gradient is 1e-5
}

TEST(AdamWTest, DecayTouchesTheFirstRangeOnly) {
  State state({2, 2, 2, 2});
  const std::vector<float> gradient(4, 0.0F);
  adamw_update({.learning_rate = 0.5, .weight_decay = 0.5},
               state.buffers(gradient, 3));
  EXPECT_EQ(state.weights, (std::vector<float>{1.5F, 1.5F, 1.5F, 2}));
}

// Covers vector bodies, their remainders and a decay border inside a chunk.
TEST(AdamWTest, FastPathEqualsReferenceBitForBit) {
  for (const size_t count : {0, 1, 15, 16, 33, 1000, 70001}) {
    State fast(random_values(count, 1));
    State plain = fast;
    for (int64_t t = 1; t <= 3; ++t) {
      const auto gradient =
          random_values(count, 100 + static_cast<uint64_t>(t));
      const AdamWStep step{.gradient_scale = 0.37, .step = t};
      const auto decayed = static_cast<int64_t>(count / 3);
      adamw_update(step, fast.buffers(gradient, decayed));
      adamw_update_reference(step, plain.buffers(gradient, decayed));
    }
    int64_t worst = 0;
    for (size_t i = 0; i < count; ++i) {
      worst = std::max(worst, ulps(fast.weights[i], plain.weights[i]));
    }
    EXPECT_EQ(worst, 0) << count << " elements";
    EXPECT_EQ(fast, plain) << count << " elements";
  }
}

TEST(AdamWTest, ResultDoesNotDependOnThreads) {
  const size_t count = 5 * kChunkElements + 123;
  const auto gradient = random_values(count, 2);
  State alone(random_values(count, 1));
  State together = alone;
  const int64_t decayed = 2 * kChunkElements + 77;
  adamw_update({}, alone.buffers(gradient, decayed));
  adamw_update({}, together.buffers(gradient, decayed),
               backwards_on_threads(3));
  EXPECT_EQ(alone, together);
}

TEST(AdamWTest, QuadraticConvergesToItsMinimum) {
  const std::vector<float> target{3, -2, 0.5F, 10};
  const std::vector<float> curvature{1, 10, 100, 0.5F};
  State state(std::vector<float>(4, 0.0F));
  std::vector<float> gradient(4);
  for (int64_t t = 1; t <= 3000; ++t) {
    for (size_t i = 0; i < 4; ++i) {
      gradient[i] = curvature[i] * (state.weights[i] - target[i]);
    }
    const double rate = 0.05 * (1 - static_cast<double>(t) / 3001);
    adamw_update({.learning_rate = rate, .weight_decay = 0, .step = t},
                 state.buffers(gradient, 4));
  }
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(state.weights[i], target[i], 1e-3);
  }
}

// Why an idle block must be skipped and not fed zeros.
TEST(AdamWTest, ZeroGradientStillMovesWeightsAndMoments) {
  State state({1, -1});
  const std::vector<float> gradient{0.5F, 0.5F};
  adamw_update({.step = 1}, state.buffers(gradient, 2));
  const State before = state;
  const std::vector<float> zeros(2, 0.0F);
  adamw_update({.step = 2}, state.buffers(zeros, 2));
  EXPECT_NE(state.weights, before.weights);
  EXPECT_NE(state.first_moment, before.first_moment);
}

TEST(AdamWTest, PaddingOfZerosStaysZero) {
  State state(std::vector<float>(64, 0.0F));
  const std::vector<float> zeros(64, 0.0F);
  for (int64_t t = 1; t <= 5; ++t) {
    adamw_update({.step = t}, state.buffers(zeros, 64));
  }
  EXPECT_EQ(state, State(std::vector<float>(64, 0.0F)));
}

TEST(AdamWTest, BuffersOfUnequalLengthAreRefused) {
  State state({1, 2, 3});
  const std::vector<float> gradient(2, 0.0F);
  EXPECT_THROW(adamw_update({}, state.buffers(gradient, 0)), InternalError);
  const std::vector<float> right(3, 0.0F);
  EXPECT_THROW(adamw_update({}, state.buffers(right, 4)), InternalError);
  EXPECT_THROW(adamw_update({.step = 0}, state.buffers(right, 3)),
               InternalError);
}

}  // namespace
}  // namespace dblocks::optim
