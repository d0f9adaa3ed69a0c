// SPDX-License-Identifier: Apache-2.0
#include "dblocks/optim/adamw_int8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/core/random.h"
#include "dblocks/optim/dynamic_code.h"
#include "threads.h"

namespace dblocks::optim {
namespace {

std::vector<float> random_values(size_t count, uint64_t key) {
  std::vector<float> values(count);
  RandomStream(7, RandomPurpose::kNoise, key, 0).fill_normal(values);
  return values;
}

struct State {
  std::vector<float> weights, first_scales, second_scales;
  std::vector<uint8_t> first_codes, second_codes;

  explicit State(std::vector<float> start)
      : weights(std::move(start)),
        first_scales(weights.size() / kMomentBlock),
        second_scales(weights.size() / kMomentBlock),
        first_codes(weights.size()),
        second_codes(weights.size()) {}

  AdamWInt8Buffers buffers(std::span<const float> gradient,
                           int64_t decayed_count) {
    return {weights,
            gradient,
            {first_codes, first_scales},
            {second_codes, second_scales},
            decayed_count};
  }
  float first(size_t i) const {
    return DynamicCode::with_sign().values()[first_codes[i]] *
           first_scales[i / kMomentBlock];
  }
  float second(size_t i) const {
    return DynamicCode::without_sign().values()[second_codes[i]] *
           second_scales[i / kMomentBlock];
  }

  bool operator==(const State& other) const = default;
};

// By hand from the paper's construction: 2^i or 2^(i + 1) equal pieces of
// [0.1, 1] in decade i, the middle of each, and 0 and 1.
TEST(DynamicCodeTest, HasThePublishedNumbers) {
  const auto with = DynamicCode::with_sign().magnitudes();
  ASSERT_EQ(with.size(), 129U);
  EXPECT_EQ(with[0], 0);
  EXPECT_FLOAT_EQ(with[1], 0.55e-6F);
  EXPECT_FLOAT_EQ(with[2], 0.325e-5F);
  EXPECT_FLOAT_EQ(with[3], 0.775e-5F);
  EXPECT_FLOAT_EQ(with[127], 1 - 0.45F / 64);
  EXPECT_EQ(with[128], 1);
  const auto without = DynamicCode::without_sign().magnitudes();
  ASSERT_EQ(without.size(), 256U);
  EXPECT_FLOAT_EQ(without[1], 0.325e-6F);
  EXPECT_FLOAT_EQ(without[254], 1 - 0.45F / 128);
  EXPECT_EQ(without[255], 1);
  EXPECT_TRUE(std::ranges::is_sorted(with));
  EXPECT_TRUE(std::ranges::is_sorted(without));
}

TEST(DynamicCodeTest, EveryByteStandsForANumberOfItsOwn) {
  for (const auto* code :
       {&DynamicCode::with_sign(), &DynamicCode::without_sign()}) {
    const std::set<float> numbers(code->values().begin(), code->values().end());
    EXPECT_EQ(numbers.size(), 256U);
    EXPECT_EQ(code->values()[0], 0);
    EXPECT_EQ(*numbers.rbegin(), 1);
  }
  EXPECT_FLOAT_EQ(DynamicCode::with_sign().values()[255], -0.55e-6F);
}

TEST(DynamicCodeTest, FindsTheNearestNumber) {
  RandomStream stream(3, RandomPurpose::kSampling, 0, 0);
  for (const auto* code :
       {&DynamicCode::with_sign(), &DynamicCode::without_sign()}) {
    const auto known = code->magnitudes();
    std::vector<float> asked{0, 1, 1e-30F, 5.9e-8F, 6.1e-8F};
    for (int i = 0; i < 20000; ++i) {
      asked.push_back(
          static_cast<float>(std::pow(10.0, -8 * stream.next_uniform())));
    }
    for (size_t i = 0; i + 1 < known.size(); ++i) {
      const float middle = 0.5F * (known[i] + known[i + 1]);
      asked.push_back(std::nextafter(middle, 0.0F));
      asked.push_back(std::nextafter(middle, 2.0F));
    }
    for (const float x : asked) {
      double nearest = 2;
      for (const float number : known) {
        nearest = std::min(nearest, std::abs(double{x} - number));
      }
      const float found = known[code->nearest_magnitude(x)];
      EXPECT_LE(std::abs(double{x} - found), nearest + 1e-7 * x) << x;
    }
  }
}

TEST(AdamWInt8Test, TheFirstStepIsThatOfFloatMoments) {
  const auto gradient = random_values(512, 1);
  const auto start = random_values(512, 2);
  State state(start);
  std::vector<float> weights = start, m(512), v(512);
  const AdamWStep step{.weight_decay = 0.1, .gradient_scale = 0.7};
  adamw_update(step, {weights, gradient, m, v, 256});
  adamw_int8_update(step, state.buffers(gradient, 256));
  // The moments before the step are exact zeros, so weights agree to the bit;
  // what is stored is within the code's widest gaps.
  EXPECT_EQ(state.weights, weights);
  for (size_t i = 0; i < 512; ++i) {
    const float first_scale = state.first_scales[i / kMomentBlock];
    const float second_scale = state.second_scales[i / kMomentBlock];
    EXPECT_NEAR(state.first(i), m[i], 0.0075 * first_scale);
    EXPECT_NEAR(state.second(i), v[i], 0.0036 * second_scale);
  }
}

TEST(AdamWInt8Test, FastPathEqualsReferenceBitForBit) {
  for (const size_t count : {size_t{0}, size_t{256}, size_t{70144}}) {
    State fast(random_values(count, 1));
    State plain = fast;
    for (int64_t t = 1; t <= 4; ++t) {
      auto gradient = random_values(count, 100 + static_cast<uint64_t>(t));
      for (size_t i = 0; i < count; ++i) {
        // Several decades in one block, and zeros.
        gradient[i] *= i % 5 == 0 ? 1e-4F : i % 7 == 0 ? 0.0F : 1.0F;
      }
      const AdamWStep step{.gradient_scale = 0.37, .step = t};
      const auto decayed = static_cast<int64_t>(count / 3 / 256 * 256);
      adamw_int8_update(step, fast.buffers(gradient, decayed));
      adamw_int8_update_reference(step, plain.buffers(gradient, decayed));
    }
    EXPECT_EQ(fast, plain) << count << " elements";
  }
}

TEST(AdamWInt8Test, ResultDoesNotDependOnThreads) {
  const size_t count = 5 * kChunkElements + 2 * kMomentBlock;
  const auto gradient = random_values(count, 2);
  State alone(random_values(count, 1));
  State together = alone;
  const int64_t decayed = 2 * kChunkElements + kMomentBlock;
  adamw_int8_update({}, alone.buffers(gradient, decayed));
  adamw_int8_update({}, together.buffers(gradient, decayed),
                    backwards_on_threads(3));
  EXPECT_EQ(alone, together);
}

TEST(AdamWInt8Test, StaysCloseToFloatMomentsOnANoisyQuadratic) {
  // 1024 curvatures over three decades, gradients with noise: both optimisers
  // have to end equally near the minimum.
  constexpr size_t kCount = 1024;
  const auto target = random_values(kCount, 3);
  State state(std::vector<float>(kCount, 0.0F));
  std::vector<float> weights(kCount), m(kCount), v(kCount), gradient(kCount);
  const auto gradient_at = [&](const std::vector<float>& at, int64_t t) {
    const auto noise = random_values(kCount, 1000 + static_cast<uint64_t>(t));
    for (size_t i = 0; i < kCount; ++i) {
      const double curvature =
          std::pow(10.0, -3.0 * static_cast<double>(i % 64) / 63);
      gradient[i] =
          static_cast<float>(curvature * (at[i] - target[i] + 0.1 * noise[i]));
    }
  };
  const auto distance = [&](const std::vector<float>& at) {
    double sum = 0;
    for (size_t i = 0; i < kCount; ++i) {
      sum += std::pow(at[i] - target[i], 2);
    }
    return std::sqrt(sum / kCount);
  };
  constexpr int64_t kSteps = 2000;
  for (int64_t t = 1; t <= kSteps; ++t) {
    const AdamWStep step{
        .learning_rate = 0.02 * (1 - static_cast<double>(t) / (kSteps + 1)),
        .weight_decay = 0,
        .step = t};
    gradient_at(state.weights, t);
    adamw_int8_update(step, state.buffers(gradient, 0));
    gradient_at(weights, t);
    adamw_update(step, {weights, gradient, m, v, 0});
  }
  EXPECT_LT(distance(weights), 0.02);
  EXPECT_LT(distance(state.weights), 1.3 * distance(weights));
}

TEST(AdamWInt8Test, ATinyGradientTakesStepsOfAtMostTheLearningRate) {
  // Beside a gradient of 1 the squares of 1e-4 lie below the code's range.
  std::vector<float> gradient(256, 1e-4F);
  gradient[0] = 1;
  State state(std::vector<float>(256, 0.0F));
  for (int64_t t = 1; t <= 50; ++t) {
    const std::vector<float> before = state.weights;
    adamw_int8_update({.learning_rate = 0.01, .weight_decay = 0, .step = t},
                      state.buffers(gradient, 0));
    for (size_t i = 0; i < 256; ++i) {
      EXPECT_LE(std::fabs(state.weights[i] - before[i]), 0.0101F)
          << "element " << i << ", step " << t;
    }
  }
}

TEST(AdamWInt8Test, PaddingOfZerosStaysZero) {
  State state(std::vector<float>(256, 0.0F));
  std::vector<float> gradient(256, 0.0F);
  gradient[0] = 1;
  for (int64_t t = 1; t <= 5; ++t) {
    adamw_int8_update({.step = t}, state.buffers(gradient, 256));
  }
  for (size_t i = 1; i < 256; ++i) {
    EXPECT_EQ(state.weights[i], 0);
    EXPECT_EQ(state.first_codes[i], 0);
    EXPECT_EQ(state.second_codes[i], 0);
  }
}

TEST(AdamWInt8Test, BuffersThatDoNotFitAreRefused) {
  State state(std::vector<float>(512, 0.0F));
  const std::vector<float> right(512), wrong(256);
  EXPECT_THROW(adamw_int8_update({}, state.buffers(wrong, 0)), InternalError);
  EXPECT_THROW(adamw_int8_update({}, state.buffers(right, 100)), InternalError);
  EXPECT_THROW(adamw_int8_update({.step = 0}, state.buffers(right, 0)),
               InternalError);
  state.first_scales.pop_back();
  EXPECT_THROW(adamw_int8_update({}, state.buffers(right, 0)), InternalError);
}

}  // namespace
}  // namespace dblocks::optim
