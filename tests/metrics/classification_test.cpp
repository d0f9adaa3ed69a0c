// SPDX-License-Identifier: Apache-2.0
#include "dblocks/metrics/classification.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "dblocks/core/error.h"

namespace dblocks::metrics {
namespace {

using Rows = std::vector<double>;
using Labels = std::vector<int64_t>;

// Log-probabilities of rows given as probabilities.
Rows logs(Rows probabilities) {
  for (double& p : probabilities) {
    p = std::log(p);
  }
  return probabilities;
}

ClassificationMetrics metrics_of(const Rows& rows,
                                 const Labels& labels,
                                 int64_t num_classes) {
  ClassificationAccumulator accumulator;
  accumulator.add(rows, labels, num_classes);
  return accumulator.result();
}

TEST(ClassificationTest, FourSamplesWorkedOutByHand) {
  const Rows rows =
      logs({0.5, 0.3, 0.2, 0.1, 0.1, 0.8, 0.25, 0.5, 0.25, 0.2, 0.7, 0.1});
  const auto found = metrics_of(rows, {0, 2, 0, 1}, 3);
  EXPECT_EQ(found.num_samples, 4);
  EXPECT_DOUBLE_EQ(found.accuracy, 0.75);
  const double expected =
      -(std::log(0.5) + std::log(0.8) + std::log(0.25) + std::log(0.7)) / 4;
  EXPECT_NEAR(found.cross_entropy, expected, 1e-12);
  // Two of confidence 0.5 with one hit; 0.8 and 0.7 in bins of their own.
  EXPECT_NEAR(found.calibration_error, (0.0 + 0.2 + 0.3) / 4, 1e-12);
}

TEST(ClassificationTest, ReliabilityBinsExplainTheCalibrationError) {
  const Rows rows = logs({0.5, 0.3, 0.2, 0.1, 0.15, 0.75, 0.25, 0.5, 0.25});
  const auto found = metrics_of(rows, {0, 2, 0}, 3);
  EXPECT_EQ(found.bins[7].num_samples, 2);  // 0.5 lies in (7/15, 8/15]
  EXPECT_EQ(found.bins[7].num_hits, 1);
  EXPECT_DOUBLE_EQ(found.bins[7].sum_confidence, 1.0);
  EXPECT_EQ(found.bins[11].num_samples, 1);  // (11/15, 12/15]
  double gap = 0;
  for (const ReliabilityBin& bin : found.bins) {
    gap += std::abs(static_cast<double>(bin.num_hits) - bin.sum_confidence);
  }
  EXPECT_DOUBLE_EQ(gap / 3, found.calibration_error);
}

TEST(ClassificationTest, UniformPredictionsOfTenClassesCostLnTen) {
  const Rows rows(10 * 10, -std::log(10.0));
  const auto found = metrics_of(rows, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 10);
  EXPECT_NEAR(found.cross_entropy, std::log(10.0), 1e-12);
  EXPECT_DOUBLE_EQ(found.accuracy, 0.1) << "the first of equals is chosen";
  EXPECT_NEAR(found.calibration_error, 0.0, 1e-12);
}

TEST(ClassificationTest, CertainAndAlwaysWrongIsMiscalibratedByOne) {
  const double impossible = -std::numeric_limits<double>::infinity();
  const auto found = metrics_of({0, impossible, 0, impossible}, {1, 1}, 2);
  EXPECT_EQ(found.accuracy, 0.0);
  EXPECT_EQ(found.calibration_error, 1.0);
  EXPECT_TRUE(std::isinf(found.cross_entropy));
}

// 0.61 and 0.66 share the bin (9/15, 10/15]; 0.67 lies in the next.
TEST(ClassificationTest, ErrorsCancelWithinABinAndNotAcrossBins) {
  const auto same = metrics_of(logs({0.61, 0.39, 0.66, 0.34}), {0, 1}, 2);
  EXPECT_NEAR(same.calibration_error, std::abs(1 - 1.27) / 2, 1e-12);
  const auto apart = metrics_of(logs({0.61, 0.39, 0.67, 0.33}), {0, 1}, 2);
  EXPECT_NEAR(apart.calibration_error, (0.39 + 0.67) / 2, 1e-12);
}

TEST(ClassificationTest, FloatRowsGiveTheSameMetrics) {
  const Rows rows = logs({0.9, 0.1, 0.4, 0.6});
  const std::vector<float> floats(rows.begin(), rows.end());
  ClassificationAccumulator accumulator;
  accumulator.add(floats, Labels{0, 0}, 2);
  EXPECT_NEAR(accumulator.result().cross_entropy,
              metrics_of(rows, {0, 0}, 2).cross_entropy, 1e-7);
  EXPECT_EQ(accumulator.result().accuracy, 0.5);
}

TEST(ClassificationTest, PartsMergedEqualTheWhole) {
  const Rows first = logs({0.5, 0.5, 0.9, 0.1});
  const Rows second = logs({0.35, 0.65});
  ClassificationAccumulator a;
  ClassificationAccumulator b;
  a.add(first, Labels{1, 0}, 2);
  b.add(second, Labels{1}, 2);
  a.merge(b);
  Rows whole = first;
  whole.insert(whole.end(), second.begin(), second.end());
  const auto expected = metrics_of(whole, {1, 0, 1}, 2);
  EXPECT_EQ(a.result().num_samples, 3);
  EXPECT_EQ(a.result().accuracy, expected.accuracy);
  EXPECT_NEAR(a.result().cross_entropy, expected.cross_entropy, 1e-15);
  EXPECT_NEAR(a.result().calibration_error, expected.calibration_error, 1e-15);
}

TEST(ClassificationTest, NothingAddedGivesZeros) {
  const auto found = ClassificationAccumulator().result();
  EXPECT_EQ(found.num_samples, 0);
  EXPECT_EQ(found.cross_entropy, 0.0);
}

TEST(ClassificationTest, BadLabelsAndNaNAreRefusedAndAddNothing) {
  ClassificationAccumulator accumulator;
  const Rows rows = logs({0.5, 0.5, 0.5, 0.5});
  EXPECT_THROW(accumulator.add(rows, Labels{0, 2}, 2), DataError);
  EXPECT_THROW(accumulator.add(rows, Labels{0, -1}, 2), DataError);
  EXPECT_THROW(accumulator.add(Rows{0, 0, 0, NAN}, Labels{0, 0}, 2), DataError);
  EXPECT_THROW(accumulator.add(rows, Labels{0}, 2), InternalError);
  EXPECT_EQ(accumulator.result().num_samples, 0);
}

// Geometric means of (0.9, 0.4) and (0.1, 0.6): 0.6 and sqrt(0.06).
TEST(PooledLogProbabilitiesTest, IsTheNormalisedGeometricMean) {
  const auto pooled =
      pooled_log_probabilities(logs({0.9, 0.1, 0.4, 0.6}), 2, 2);
  const double root = std::sqrt(0.06);
  ASSERT_EQ(pooled.size(), 2U);
  EXPECT_NEAR(std::exp(pooled[0]), 0.6 / (0.6 + root), 1e-12);
  EXPECT_NEAR(std::exp(pooled[1]), root / (0.6 + root), 1e-12);
}

TEST(PooledLogProbabilitiesTest, ReadersOfOneMindAreUnchanged) {
  const Rows two = logs({0.7, 0.2, 0.1, 0.7, 0.2, 0.1, 0.7, 0.2, 0.1});
  const auto pooled = pooled_log_probabilities(two, 3, 3);
  ASSERT_EQ(pooled.size(), 3U);
  for (size_t k = 0; k < 3; ++k) {
    EXPECT_NEAR(pooled[k], two[k], 1e-12);
  }
}

TEST(PooledLogProbabilitiesTest, SamplesAreNotMixed) {
  // Reader 0: rows (a, b); reader 1: rows (a, b) again.
  const Rows rows = logs({0.9, 0.1, 0.2, 0.8, 0.9, 0.1, 0.2, 0.8});
  const auto pooled = pooled_log_probabilities(rows, 2, 2);
  ASSERT_EQ(pooled.size(), 4U);
  EXPECT_NEAR(pooled[0], std::log(0.9), 1e-12);
  EXPECT_NEAR(pooled[3], std::log(0.8), 1e-12);
}

TEST(PooledLogProbabilitiesTest, FarAwayLogitsNeitherOverflowNorVanish) {
  const auto pooled = pooled_log_probabilities(
      std::vector<float>{-5000, -5001, -5000, -5001}, 2, 2);
  EXPECT_NEAR(pooled[0] - pooled[1], 1.0, 1e-3);
  EXPECT_NEAR(std::exp(pooled[0]) + std::exp(pooled[1]), 1.0, 1e-6);
}

TEST(PooledLogProbabilitiesTest, RowsWithoutAnyPossibleClassAreRefused) {
  const double impossible = -std::numeric_limits<double>::infinity();
  EXPECT_THROW(
      pooled_log_probabilities(Rows{0, impossible, impossible, 0}, 2, 2),
      DataError);
  EXPECT_THROW(pooled_log_probabilities(Rows{0, NAN}, 1, 2), DataError);
  EXPECT_THROW(pooled_log_probabilities(Rows{0, 0, 0}, 2, 2), InternalError);
}

}  // namespace
}  // namespace dblocks::metrics
