// SPDX-License-Identifier: Apache-2.0
#include "dblocks/noise/inference_schedule.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>

#include "tests/noise/testing.h"

namespace dblocks::noise {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::Ge;

std::string quantile_row(int64_t num_calls) {
  return printed(sigmas_of(quantile_schedule(published(3), num_calls)),
                 "{:.10g}");
}

std::string karras_row(int64_t num_calls) {
  return printed(sigmas_of(karras_schedule(published(3), num_calls)),
                 "{:.10g}");
}

// The first and last five of 50.
std::string ends_of(const std::vector<ScheduledSigma>& calls) {
  const auto sigmas = sigmas_of(calls);
  const std::vector<double> first(sigmas.begin(), sigmas.begin() + 5);
  const std::vector<double> last(sigmas.end() - 5, sigmas.end());
  return printed(first, "{:.6g}") + " ... " + printed(last, "{:.6g}");
}

std::vector<int64_t> quantile_blocks(int64_t num_blocks, int64_t num_calls) {
  return blocks_of(quantile_schedule(published(num_blocks), num_calls));
}

std::vector<double> keeps(int64_t num_calls) {
  const auto sigmas = sigmas_of(quantile_schedule(published(3), num_calls));
  std::vector<double> ratios;
  for (size_t i = 1; i < sigmas.size(); ++i) {
    ratios.push_back(sigmas[i] / sigmas[i - 1]);
  }
  return ratios;
}

TEST(QuantileScheduleTest, SigmasMatchTheReference) {
  EXPECT_EQ(quantile_row(2), "80, 0.002");
  EXPECT_EQ(quantile_row(3), "80, 0.3012001026, 0.002");
  EXPECT_EQ(quantile_row(4), "80, 0.505041464, 0.1796324721, 0.002");
  EXPECT_EQ(quantile_row(5),
            "80, 0.6766486433, 0.3012001026, 0.1340760955, 0.002");
  EXPECT_EQ(quantile_row(6),
            "80, 0.8269197671, 0.408212118, 0.222241363, 0.1097119859, 0.002");
  EXPECT_EQ(quantile_row(10),
            "80, 1.303130519, 0.7540169492, 0.505041464, 0.356175874, "
            "0.2547099431, 0.1796324721, 0.1203191878, 0.06962113648, 0.002");
  EXPECT_EQ(ends_of(quantile_schedule(published(3), 50)),
            "80, 3.50586, 2.434, 1.92223, 1.60481 ... "
            "0.0565346, 0.0472003, 0.0372778, 0.0258843, 0.002");
}

TEST(QuantileScheduleTest, RatiosOfNeighboursMatchTheReference) {
  EXPECT_EQ(printed(keeps(3), "{:.6f}"), "0.003765, 0.006640");
  EXPECT_EQ(printed(keeps(4), "{:.6f}"), "0.006313, 0.355679, 0.011134");
  EXPECT_EQ(printed(keeps(5), "{:.6f}"),
            "0.008458, 0.445135, 0.445140, 0.014917");
}

TEST(QuantileScheduleTest, EndsAreExactAndNoZeroFollows) {
  const auto calls = quantile_schedule(published(3), 7);
  EXPECT_EQ(calls.size(), 7u);
  EXPECT_EQ(calls.front().sigma, 80.0);
  EXPECT_EQ(calls.back().sigma, 0.002);
}

TEST(PerBlockScheduleTest, EveryBlockGetsItsCallsFromTheTopOfItsInterval) {
  const Partition partition = published(3);
  const auto calls = per_block_schedule(partition, {2, 3, 4});
  EXPECT_THAT(blocks_of(calls), ElementsAre(0, 0, 1, 1, 1, 2, 2, 2, 2));
  EXPECT_EQ(calls[0].sigma, 80.0);
  EXPECT_EQ(calls[2].sigma, partition.interval(1).high);
  EXPECT_EQ(calls[5].sigma, partition.interval(2).high);
  EXPECT_EQ(calls[8].sigma, 0.002);
  // Half of block 0's probability lies above its second call, a third of block
  // 1's and of block 2's above theirs.
  const auto share_above = [&](size_t i, int64_t block) {
    const Interval own = partition.interval(block);
    const auto& s = partition.schedule();
    return (s.cdf(own.high) - s.cdf(calls[i].sigma)) /
           (s.cdf(own.high) - s.cdf(own.low));
  };
  EXPECT_NEAR(share_above(1, 0), 1.0 / 2, 1e-9);
  EXPECT_NEAR(share_above(3, 1), 1.0 / 3, 1e-9);
  EXPECT_NEAR(share_above(6, 2), 1.0 / 3, 1e-9);
}

TEST(PerBlockScheduleTest, NeedsANumberForEveryBlock) {
  EXPECT_THROW(per_block_schedule(published(3), {2, 3}), ConfigError);
  EXPECT_THROW(per_block_schedule(published(3), {2, 0, 3}), ConfigError);
}

TEST(QuantileScheduleTest, OneCallIsAtSigmaMax) {
  const auto calls = quantile_schedule(published(3), 1);
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].sigma, 80.0);
  EXPECT_EQ(calls[0].block, 0);
}

TEST(QuantileScheduleTest, CallsPerBlockOfFiftyMatchTheReference) {
  const auto counts = [](int64_t num_blocks) {
    return calls_per_block(quantile_schedule(published(num_blocks), 50),
                           num_blocks);
  };
  EXPECT_THAT(counts(1), ElementsAre(50));
  EXPECT_THAT(counts(2), ElementsAre(25, 25));
  EXPECT_THAT(counts(3), ElementsAre(17, 16, 17));
  EXPECT_THAT(counts(4), ElementsAre(13, 12, 12, 13));
  EXPECT_THAT(counts(6), ElementsAre(9, 8, 8, 8, 8, 9));
}

TEST(QuantileScheduleTest, BlocksAgreeWithThePublishedCodeWhereNothingIsATie) {
  EXPECT_THAT(quantile_blocks(3, 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(quantile_blocks(3, 5), ElementsAre(0, 0, 1, 2, 2));
  EXPECT_THAT(quantile_blocks(4, 4), ElementsAre(0, 1, 2, 3));
}

TEST(QuantileScheduleTest, OneCallMoreThanBlocksReachesEveryBlock) {
  // The published code calls [0, 0, 2, 2] and [0, 0, 1, 3, 4, 4, 5] here.
  EXPECT_THAT(quantile_blocks(3, 4), ElementsAre(0, 1, 2, 2));
  EXPECT_THAT(quantile_blocks(4, 5), ElementsAre(0, 1, 2, 3, 3));
  EXPECT_THAT(quantile_blocks(6, 7), ElementsAre(0, 1, 2, 3, 4, 5, 5));
  for (int64_t num_blocks = 1; num_blocks <= 100; ++num_blocks) {
    const auto blocks = quantile_blocks(num_blocks, num_blocks + 1);
    for (int64_t i = 0; i <= num_blocks; ++i) {
      EXPECT_EQ(blocks[static_cast<size_t>(i)], std::min(i, num_blocks - 1))
          << num_blocks;
    }
  }
}

TEST(QuantileScheduleTest, PointsOnBoundariesAreOnThemToTheLastBit) {
  for (const auto preset : {NoisePreset::kPublished, NoisePreset::kWide}) {
    for (const int64_t num_blocks : {2, 3, 5, 7, 12, 49}) {
      const Partition partition({.preset = preset}, {}, num_blocks);
      const auto calls = quantile_schedule(partition, 3 * num_blocks + 1);
      for (int64_t block = 0; block < num_blocks; ++block) {
        const auto& call = calls[static_cast<size_t>(3 * block)];
        EXPECT_EQ(call.sigma, partition.interval(block).high);
        EXPECT_EQ(call.block, block);
      }
    }
  }
}

TEST(QuantileScheduleTest, AsManyCallsAsBlocksReachEveryBlock) {
  for (int64_t num_blocks = 1; num_blocks <= 24; ++num_blocks) {
    for (int64_t num_calls = num_blocks; num_calls <= 60; ++num_calls) {
      const auto calls = quantile_schedule(published(num_blocks), num_calls);
      EXPECT_THAT(calls_per_block(calls, num_blocks), Each(Ge(1)))
          << num_blocks << " blocks, " << num_calls << " calls";
    }
  }
}

TEST(KarrasScheduleTest, SigmasMatchTheReference) {
  EXPECT_EQ(karras_row(3), "80, 2.515218976, 0.002");
  EXPECT_EQ(karras_row(4), "80, 9.723201355, 0.469979058, 0.002");
  EXPECT_EQ(karras_row(10),
            "80, 42.41518932, 21.10867674, 9.723201355, 4.066123603, "
            "1.501741979, 0.469979058, 0.1166385635, 0.02043533455, 0.002");
  EXPECT_EQ(karras_row(18),
            "80, 57.58598472, 40.7855738, 28.3745846, 19.35245298, "
            "12.91008238, 8.400935309, 5.315194522, 3.25682152, 1.923339837, "
            "1.088170637, 0.5853481232, 0.2964422845, 0.1395164687, "
            "0.05994731124, 0.02293451837, 0.007528019963, 0.002");
  EXPECT_EQ(ends_of(karras_schedule(published(3), 50)),
            "80, 71.501, 63.788, 56.7995, 50.4778 ... "
            "0.0118446, 0.00790699, 0.00514927, 0.00326076, 0.002");
}

TEST(KarrasScheduleTest, EndsAreExactAndOneCallIsAtSigmaMax) {
  const auto calls = karras_schedule(published(3), 18);
  EXPECT_EQ(calls.front().sigma, 80.0);
  EXPECT_EQ(calls.back().sigma, 0.002);
  const auto one = karras_schedule(published(3), 1);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].sigma, 80.0);
  EXPECT_EQ(one[0].block, 0);
}

TEST(KarrasScheduleTest, CallsPerBlockOfFiftyMatchTheReference) {
  const auto counts = [](int64_t num_blocks) {
    return calls_per_block(karras_schedule(published(num_blocks), 50),
                           num_blocks);
  };
  EXPECT_THAT(counts(2), ElementsAre(35, 15));
  EXPECT_THAT(counts(3), ElementsAre(33, 4, 13));
  EXPECT_THAT(counts(4), ElementsAre(32, 3, 3, 12));
  EXPECT_THAT(counts(6), ElementsAre(30, 3, 2, 2, 2, 11));
}

TEST(KarrasScheduleTest, RhoOneIsEquallySpaced) {
  const auto sigmas = sigmas_of(karras_schedule(published(2), 3, 1));
  EXPECT_NEAR(sigmas[1], 40.001, 1e-12);
}

TEST(BlockStartScheduleTest, CallsEachBlockAtTheUpperEndOfItsInterval) {
  const auto calls = block_start_schedule(published(3, 0.05));
  EXPECT_THAT(blocks_of(calls), ElementsAre(0, 1, 2));
  EXPECT_EQ(printed(sigmas_of(calls), "{:.12g}"),
            "80, 0.505041464031, 0.179632472112");
}

TEST(InferenceScheduleErrorTest, FewerThanOneCallIsAConfigError) {
  for (const int64_t num_calls : {0, -3}) {
    expect_config_error([&] { quantile_schedule(published(3), num_calls); },
                        fmt::format("found {}", num_calls));
    expect_config_error([&] { karras_schedule(published(3), num_calls); },
                        fmt::format("found {}", num_calls));
  }
}

TEST(InferenceScheduleErrorTest, RhoThatIsNotPositiveIsAConfigError) {
  for (const double rho : {0.0, -7.0, std::numeric_limits<double>::infinity(),
                           std::numeric_limits<double>::quiet_NaN()}) {
    expect_config_error([&] { karras_schedule(published(3), 5, rho); }, "rho");
  }
}

}  // namespace
}  // namespace dblocks::noise
