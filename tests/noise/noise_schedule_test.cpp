// SPDX-License-Identifier: Apache-2.0
#include "dblocks/noise/noise_schedule.h"

#include <algorithm>
#include <limits>

#include "tests/noise/testing.h"

namespace dblocks::noise {
namespace {

double z_of(double sigma) {
  return (std::log(sigma) + 1.2) / 1.2;
}

NoiseOptions custom(double mean, double spread) {
  return {.preset = NoisePreset::kCustom, .mean = mean, .spread = spread};
}

// The integral of the density of ln sigma from sigma_min to `sigma`, by
// Simpson's rule.
double integral(const LogNormalSchedule& schedule, double sigma) {
  const int steps = 4000;
  const double low = std::log(schedule.options().sigma_min);
  const double width = (std::log(sigma) - low) / steps;
  double sum = 0;
  for (int i = 0; i <= steps; ++i) {
    const double weight = i == 0 || i == steps ? 1 : i % 2 == 1 ? 4 : 2;
    // Rounding must not push the ends out of the range, where density is 0.
    const double at = i == 0       ? schedule.options().sigma_min
                      : i == steps ? sigma
                                   : std::exp(low + i * width);
    sum += weight * schedule.log_density(at);
  }
  return sum * width / 3;
}

// Largest relative error of quantile(cdf(sigma)) and its upper-tail twin.
double worst_round_trip(const LogNormalSchedule& schedule) {
  const double low = std::log(schedule.options().sigma_min);
  const double high = std::log(schedule.options().sigma_max);
  double worst = 0;
  for (int i = 1; i < 2000; ++i) {
    const double sigma = std::exp(std::lerp(low, high, i / 2000.0));
    const double q = schedule.cdf(sigma);
    const double s = schedule.survival(sigma);
    if (q <= 0.5) {
      worst = std::max(worst, std::abs(schedule.quantile(q) / sigma - 1));
    } else {
      worst =
          std::max(worst, std::abs(schedule.survival_quantile(s) / sigma - 1));
    }
  }
  return worst;
}

TEST(NormalTest, MatchesReferenceValues) {
  EXPECT_EQ(printed({z_of(0.002), z_of(80)}, "{:.14g}"),
            "-4.1788400820185, 4.6516888622282");
  EXPECT_EQ(printed({normal_cdf(z_of(0.002))}, "{:.15g}"),
            "1.46499806602638e-05");
  EXPECT_EQ(printed({normal_survival(z_of(80))}, "{:.15g}"),
            "1.64613779372325e-06");
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-14);
  EXPECT_NEAR(normal_quantile(0.01), -2.326347874040841, 1e-14);
  EXPECT_NEAR(normal_quantile(1e-10), -6.361340902404056, 1e-14);
  EXPECT_EQ(normal_quantile(0.5), 0);
}

TEST(NormalTest, QuantileInvertsTheDistributionDownToTheSmallestTails) {
  for (double exponent = -300; exponent < -0.31; exponent += 0.37) {
    const double p = std::pow(10, exponent);
    const double z = normal_quantile(p);
    // One unit in the last place of z moves the tail by about z^2 of its own.
    EXPECT_NEAR(normal_cdf(z) / p, 1, 4e-16 * (4 + z * z)) << p;
  }
}

TEST(NormalTest, QuantileIsInfiniteAtCertainty) {
  EXPECT_EQ(normal_quantile(0), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(normal_quantile(1), std::numeric_limits<double>::infinity());
}

TEST(LogNormalScheduleTest, CutsAwayThePublishedShareOfTheNormal) {
  const LogNormalSchedule schedule({});
  const double kept =
      (normal_cdf(z_of(1)) - normal_cdf(z_of(0.002))) / schedule.cdf(1);
  EXPECT_NEAR(kept, 0.999983703881546, 2e-15);
}

TEST(LogNormalScheduleTest, CdfIsTheIntegralOfTheDensity) {
  for (const auto& options :
       {NoiseOptions{}, NoiseOptions{.preset = NoisePreset::kWide},
        custom(-5, 0.7), custom(6, 1.5)}) {
    const LogNormalSchedule schedule(options);
    for (const double sigma : {0.01, 0.1, 0.3, 1.0, 10.0, 79.9, 80.0}) {
      EXPECT_NEAR(integral(schedule, sigma), schedule.cdf(sigma), 1e-10)
          << sigma << " with mean " << options.mean;
    }
  }
}

TEST(LogNormalScheduleTest, CdfAndSurvivalAddUpToOne) {
  const LogNormalSchedule schedule({});
  for (const double sigma : {0.002, 0.0021, 0.1, 0.3, 1.0, 30.0, 80.0}) {
    EXPECT_NEAR(schedule.cdf(sigma) + schedule.survival(sigma), 1, 4e-16);
  }
}

TEST(LogNormalScheduleTest, QuantileInvertsCdfOverTheWholeRange) {
  EXPECT_LT(worst_round_trip(LogNormalSchedule({})), 1e-12);
  EXPECT_LT(worst_round_trip(LogNormalSchedule({.preset = NoisePreset::kWide})),
            1e-12);
}

TEST(LogNormalScheduleTest, QuantileInvertsCdfWhenTheRangeIsInOneTail) {
  // The range begins 6 spreads above the mean, then ends 6 spreads below it.
  EXPECT_LT(worst_round_trip(LogNormalSchedule(custom(-12.8, 1.1))), 1e-12);
  EXPECT_LT(worst_round_trip(LogNormalSchedule(custom(11, 1.1))), 1e-12);
}

TEST(LogNormalScheduleTest, EndsAreExact) {
  for (const auto& options : {NoiseOptions{}, custom(-3, 2), custom(3, 0.9)}) {
    const LogNormalSchedule schedule(options);
    EXPECT_EQ(schedule.quantile(0), 0.002);
    EXPECT_EQ(schedule.quantile(1), 80.0);
    EXPECT_EQ(schedule.survival_quantile(0), 80.0);
    EXPECT_EQ(schedule.survival_quantile(1), 0.002);
    EXPECT_EQ(schedule.cdf(0.002), 0.0);
    EXPECT_EQ(schedule.cdf(80), 1.0);
    EXPECT_EQ(schedule.survival(80), 0.0);
    EXPECT_EQ(schedule.survival(0.002), 1.0);
  }
}

TEST(LogNormalScheduleTest, HasNoProbabilityOutsideTheRange) {
  const LogNormalSchedule schedule({});
  EXPECT_EQ(schedule.cdf(0.001), 0.0);
  EXPECT_EQ(schedule.cdf(100), 1.0);
  EXPECT_EQ(schedule.survival(100), 0.0);
  EXPECT_EQ(schedule.log_density(0.0019), 0.0);
  EXPECT_EQ(schedule.log_density(80.1), 0.0);
  EXPECT_GT(schedule.log_density(80), 0.0);
}

TEST(NoiseOptionsTest, PresetsFillMeanAndSpread) {
  const auto published = resolve({.preset = NoisePreset::kPublished});
  EXPECT_EQ(published.mean, -1.2);
  EXPECT_EQ(published.spread, 1.2);
  const auto wide = resolve({.preset = NoisePreset::kWide});
  EXPECT_EQ(wide.mean, 0.4);
  EXPECT_EQ(wide.spread, 1.0);
  const auto given = resolve(custom(0.7, 0.3));
  EXPECT_EQ(given.mean, 0.7);
  EXPECT_EQ(given.spread, 0.3);
}

TEST(NoiseOptionsTest, ScheduleReadsThePresetOfUnresolvedOptions) {
  const NoiseOptions options{.preset = NoisePreset::kWide};
  EXPECT_EQ(LogNormalSchedule(options).options().mean, 0.4);
  EXPECT_EQ(LogNormalSchedule(options).quantile(0.3),
            LogNormalSchedule(resolve(options)).quantile(0.3));
}

TEST(NoiseOptionsTest, PresetsHaveTheirNamesInRecipes) {
  EXPECT_EQ(enum_name(NoisePreset::kPublished), "published");
  EXPECT_EQ(enum_name(NoisePreset::kWide), "wide");
  EXPECT_EQ(enum_name(NoisePreset::kCustom), "custom");
}

struct BadOption {
  const char* key;
  double NoiseOptions::*field;
  double value;
};

class BadNoiseOptionTest : public testing::TestWithParam<BadOption> {};

TEST_P(BadNoiseOptionTest, IsAConfigErrorThatNamesTheKey) {
  NoiseOptions options{.preset = NoisePreset::kCustom};
  options.*GetParam().field = GetParam().value;
  expect_config_error([&] { validate(options); }, GetParam().key);
  expect_config_error([&] { LogNormalSchedule{options}; }, GetParam().key);
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

INSTANTIATE_TEST_SUITE_P(
    Noise,
    BadNoiseOptionTest,
    testing::Values(
        BadOption{"noise.mean", &NoiseOptions::mean, kNan},
        BadOption{"noise.mean", &NoiseOptions::mean, kInfinity},
        BadOption{"noise.mean", &NoiseOptions::mean, 80},
        BadOption{"noise.mean", &NoiseOptions::mean, -40},
        BadOption{"noise.spread", &NoiseOptions::spread, 0},
        BadOption{"noise.spread", &NoiseOptions::spread, -1},
        BadOption{"noise.spread", &NoiseOptions::spread, kNan},
        BadOption{"noise.spread", &NoiseOptions::spread, kInfinity},
        BadOption{"noise.sigma_min", &NoiseOptions::sigma_min, 0},
        BadOption{"noise.sigma_min", &NoiseOptions::sigma_min, -0.1},
        BadOption{"noise.sigma_min", &NoiseOptions::sigma_min, kNan},
        BadOption{"noise.sigma_max", &NoiseOptions::sigma_max, 0.002},
        BadOption{"noise.sigma_max", &NoiseOptions::sigma_max, 0.001},
        BadOption{"noise.sigma_max", &NoiseOptions::sigma_max, kInfinity},
        BadOption{"noise.sigma_max", &NoiseOptions::sigma_max, kNan},
        BadOption{"noise.sigma_data", &NoiseOptions::sigma_data, 0},
        BadOption{"noise.sigma_data", &NoiseOptions::sigma_data, kNan}));

}  // namespace
}  // namespace dblocks::noise
