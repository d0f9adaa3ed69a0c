// SPDX-License-Identifier: Apache-2.0
#include "dblocks/noise/precondition.h"

#include "dblocks/core/random.h"
#include "dblocks/noise/euler.h"
#include "tests/noise/testing.h"

namespace dblocks::noise {
namespace {

struct Row {
  double sigma, weight, skip, out, in, noise;
};

// sigma_data = 0.5; ten significant digits.
constexpr Row kTable[] = {
    {.002, 250004, .9999840003, .001999984, 1.999984, -1.553652025},
    {.01, 10004, .9996001599, .0099980006, 1.99960012, -1.151292546},
    {.1, 104, .9615384615, .09805806757, 1.961161351, -.5756462732},
    {.5, 8, .5, .3535533906, 1.414213562, -.1732867951},
    {1, 5, .2, .4472135955, .894427191, 0},
    {2, 4.25, .05882352941, .4850712501, .4850712501, .1732867951},
    {10, 4.01, .002493765586, .4993761694, .09987523389, .5756462732},
    {80, 4.00015625, 3.906097418e-05, .4999902347, .01249975587, 1.095506659},
};

std::string digits(double value) {
  return fmt::format("{:.10g}", value);
}

TEST(PreconditionTest, FactorsMatchTheReference) {
  for (const Row& row : kTable) {
    const auto factors = precondition(row.sigma, 0.5);
    EXPECT_EQ(digits(factors.skip), digits(row.skip)) << row.sigma;
    EXPECT_EQ(digits(factors.out), digits(row.out)) << row.sigma;
    EXPECT_EQ(digits(factors.in), digits(row.in)) << row.sigma;
    EXPECT_EQ(digits(factors.noise), digits(row.noise)) << row.sigma;
  }
}

TEST(PreconditionTest, FactorsKeepUnitVariance) {
  for (const double sigma_data : {0.25, 0.5, 1.0}) {
    for (const double sigma : {0.002, 0.3, 7.0, 80.0}) {
      const auto factors = precondition(sigma, sigma_data);
      const double input_variance =
          factors.in * factors.in * (sigma * sigma + sigma_data * sigma_data);
      // (y - skip z) / out for z = y + sigma noise.
      const double target_variance =
          (std::pow((1 - factors.skip) * sigma_data, 2) +
           std::pow(factors.skip * sigma, 2)) /
          (factors.out * factors.out);
      EXPECT_NEAR(input_variance, 1, 1e-14);
      // 1 - skip cancels at small sigma.
      EXPECT_NEAR(target_variance, 1, 1e-9);
    }
  }
}

TEST(LossWeightTest, MatchesTheReference) {
  for (const Row& row : kTable) {
    EXPECT_EQ(digits(loss_weight(row.sigma, 0.5)), digits(row.weight))
        << row.sigma;
  }
}

TEST(LossWeightTest, CancelsTheOutputFactorOfSquaredError) {
  for (const double sigma_data : {0.5, 1.3}) {
    for (const double sigma : {0.002, 0.04, 1.0, 80.0}) {
      const double out = precondition(sigma, sigma_data).out;
      EXPECT_NEAR(loss_weight(sigma, sigma_data) * out * out, 1, 1e-14);
    }
  }
}

TEST(LossWeightTest, MeansPerBlockMatchTheReference) {
  const auto row = [](int64_t num_blocks, const char* format) {
    const Partition partition = published(num_blocks);
    return printed(
        cleanest_first(partition,
                       [&](int64_t block) {
                         const int count = 200000;
                         double sum = 0;
                         for (int i = 0; i < count; ++i) {
                           sum += loss_weight(
                               partition.sample_sigma(block, (i + 0.5) / count),
                               0.5);
                         }
                         return sum / count;
                       }),
        format);
  };
  EXPECT_EQ(row(1, "{:.5g}"), "192.97");
  EXPECT_EQ(row(3, "{:.4g}"), "556.5, 17.04, 5.368");
  EXPECT_EQ(row(4, "{:.4g}"), "726.8, 30.72, 9.611, 4.828");
}

TEST(EulerTest, APerfectDenoiserMovesAlongTheNoiseItself) {
  RandomStream stream(3, RandomPurpose::kNoise, 0, 0);
  const auto calls = quantile_schedule(published(3), 12);
  for (size_t i = 1; i < calls.size(); ++i) {
    const double y = stream.next_normal();
    const double noise = stream.next_normal();
    const double from = calls[i - 1].sigma;
    const double to = calls[i].sigma;
    const double keep = euler_keep(from, to);
    const double moved = keep * (y + from * noise) + (1 - keep) * y;
    EXPECT_NEAR(moved, y + to * noise, 1e-13);
  }
}

TEST(EulerTest, EqualsTheSlopeFormAndNotTheOneWithTheOppositeSign) {
  const double z = 5, denoised = 0.25, from = 2, to = 0.5;
  const double keep = euler_keep(from, to);
  const double slope_form = z + (to - from) * (z - denoised) / from;
  const double opposite = z + (from - to) * (z - denoised) / from;
  const double moved = keep * z + (1 - keep) * denoised;
  EXPECT_DOUBLE_EQ(moved, slope_form);
  EXPECT_GT(std::abs(moved - opposite), 1);
}

TEST(EulerTest, AStepToZeroGivesTheEstimateAndAStepNowhereKeepsZ) {
  EXPECT_EQ(euler_keep(0.002, 0), 0.0);
  EXPECT_EQ(euler_keep(3, 3), 1.0);
}

}  // namespace
}  // namespace dblocks::noise
