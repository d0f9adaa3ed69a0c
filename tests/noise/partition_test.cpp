// SPDX-License-Identifier: Apache-2.0
#include "dblocks/noise/partition.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

#include "tests/noise/testing.h"

namespace dblocks::noise {
namespace {

std::string ranges(const Partition& partition, const char* format) {
  std::string row;
  for (int64_t block = partition.num_blocks() - 1; block >= 0; --block) {
    const auto [low, high] = partition.training_interval(block);
    row += (row.empty() ? "[" : " [") + printed({low, high}, format) + "]";
  }
  return row;
}

std::vector<double> masses(const Partition& partition) {
  return cleanest_first(partition,
                        [&](int64_t b) { return partition.mass(b); });
}

Partition uniform(PartitionKind kind, int64_t num_blocks) {
  return Partition({}, {.kind = kind, .overlap = 0}, num_blocks);
}

TEST(PartitionTest, EqualProbabilityBoundariesMatchTheReference) {
  const auto row = [](int64_t num_blocks) {
    return printed(published(num_blocks).boundaries(), "{:.12g}");
  };
  EXPECT_EQ(row(1), "0.002, 80");
  EXPECT_EQ(row(2), "0.002, 0.30120010257, 80");
  EXPECT_EQ(row(3), "0.002, 0.179632472112, 0.505041464031, 80");
  EXPECT_EQ(row(4), "0.002, 0.134076095496, 0.30120010257, 0.676648643329, 80");
  EXPECT_EQ(row(6),
            "0.002, 0.0943401356296, 0.179632472112, 0.30120010257, "
            "0.505041464031, 0.961665134288, 80");
  EXPECT_EQ(row(8),
            "0.002, 0.0757478109639, 0.134076095496, 0.205493635862, "
            "0.30120010257, 0.44148173347, 0.676648643329, 1.19772213856, 80");
  EXPECT_EQ(row(12),
            "0.002, 0.0572980366231, 0.0943401356296, 0.134076095496, "
            "0.179632472112, 0.233986957687, 0.30120010257, 0.38772067522, "
            "0.505041464031, 0.676648643329, 0.961665134288, 1.58342575192, "
            "80");
}

TEST(PartitionTest, BoundariesAscendAndEndExactly) {
  for (int64_t num_blocks = 1; num_blocks <= 64; ++num_blocks) {
    const auto boundaries = published(num_blocks).boundaries();
    EXPECT_EQ(std::ssize(boundaries), num_blocks + 1);
    EXPECT_EQ(boundaries.front(), 0.002);
    EXPECT_EQ(boundaries.back(), 80.0);
    EXPECT_TRUE(std::is_sorted(boundaries.begin(), boundaries.end(),
                               std::less_equal<>()));
  }
}

TEST(PartitionTest, EqualMassIntervalsCarryEqualProbability) {
  for (const int64_t num_blocks : {1, 2, 3, 4, 6, 12, 50}) {
    for (const double mass : masses(published(num_blocks))) {
      EXPECT_NEAR(mass * static_cast<double>(num_blocks), 1, 1e-13);
    }
  }
}

TEST(PartitionTest, IntervalsTileTheRangeFromNoisiestToCleanest) {
  const Partition partition = published(5, 0.1);
  EXPECT_EQ(partition.interval(0).high, 80.0);
  EXPECT_EQ(partition.interval(4).low, 0.002);
  for (int64_t block = 1; block < 5; ++block) {
    EXPECT_EQ(partition.interval(block).high,
              partition.interval(block - 1).low);
  }
}

TEST(PartitionTest, LogWidthsMatchTheReference) {
  const auto row = [](int64_t num_blocks) {
    const Partition partition = published(num_blocks);
    return printed(cleanest_first(partition,
                                  [&](int64_t block) {
                                    const auto own = partition.interval(block);
                                    return std::log(own.high / own.low);
                                  }),
                   "{:.6f}");
  };
  EXPECT_EQ(row(2), "5.014628, 5.582007");
  EXPECT_EQ(row(3), "4.497766, 1.033728, 5.065141");
  EXPECT_EQ(row(4), "4.205260, 0.809367, 0.809377, 4.772630");
  EXPECT_EQ(row(6),
            "3.853760, 0.644006, 0.516862, 0.516866, 0.644026, 4.421116");
}

TEST(PartitionTest, TrainingIntervalsMatchTheReference) {
  EXPECT_EQ(ranges(published(2, 0.05), "{:.8g}"),
            "[0.002, 0.38703155] [0.22784703, 80]");
  EXPECT_EQ(ranges(published(3, 0.05), "{:.10g}"),
            "[0.002, 0.2249326963] [0.1705837814, 0.5318316077] "
            "[0.3920476795, 80]");
  EXPECT_EQ(ranges(published(3, 0.1), "{:.10g}"),
            "[0.002, 0.281656859] [0.1619909036, 0.5600428463] "
            "[0.3043341863, 80]");
  EXPECT_EQ(ranges(published(4, 0.1), "{:.10g}"),
            "[0.002, 0.2041660328] [0.1236519524, 0.3265919618] "
            "[0.2777821311, 0.7336924084] [0.4198465011, 80]");
  EXPECT_EQ(ranges(published(6, 0.05), "{:.10g}"),
            "[0.002, 0.11438783] [0.09135074189, 0.1855108282] "
            "[0.1750496849, 0.309085498] [0.2935158237, 0.5182635091] "
            "[0.4890375347, 0.9931359718] [0.7709399741, 80]");
}

TEST(PartitionTest, OverlapFactorsMatchTheReference) {
  const Partition three = published(3, 0.05);
  EXPECT_EQ(printed({three.training_interval(2).high / three.interval(2).high,
                     three.training_interval(1).high / three.interval(1).high,
                     three.interval(1).low / three.training_interval(1).low,
                     three.interval(0).low / three.training_interval(0).low},
                    "{:.6f}"),
            "1.252183, 1.053045, 1.053045, 1.288214");
  const Partition four = published(4, 0.1);
  EXPECT_EQ(printed({four.training_interval(3).high / four.interval(3).high,
                     four.training_interval(2).high / four.interval(2).high,
                     four.training_interval(1).high / four.interval(1).high,
                     four.interval(0).low / four.training_interval(0).low},
                    "{:.6f}"),
            "1.522762, 1.084302, 1.084303, 1.611657");
}

TEST(PartitionTest, WithoutOverlapABlockTrainsOnItsOwnInterval) {
  const Partition partition = published(4, 0);
  for (int64_t block = 0; block < 4; ++block) {
    EXPECT_EQ(partition.training_interval(block).low,
              partition.interval(block).low);
    EXPECT_EQ(partition.training_interval(block).high,
              partition.interval(block).high);
  }
}

TEST(PartitionTest, BoundaryBelongsToTheLowerNoiseBlock) {
  const Partition partition = published(4, 0.1);
  for (int64_t block = 1; block < 4; ++block) {
    const double boundary = partition.interval(block).high;
    EXPECT_EQ(partition.block_of(boundary), block);
    EXPECT_EQ(partition.block_of(std::nextafter(boundary, 100)), block - 1);
    EXPECT_EQ(partition.block_of(std::nextafter(boundary, 0)), block);
  }
}

TEST(PartitionTest, EndsAndWhatLiesBeyondBelongToTheEndBlocks) {
  const Partition partition = published(3);
  EXPECT_EQ(partition.block_of(80), 0);
  EXPECT_EQ(partition.block_of(80.00625), 0);
  EXPECT_EQ(partition.block_of(0.002), 2);
  EXPECT_EQ(partition.block_of(0), 2);
  EXPECT_EQ(published(1).block_of(80), 0);
  EXPECT_EQ(published(1).block_of(0.002), 0);
}

TEST(PartitionTest, LogUniformEdgesAndMassesMatchTheReference) {
  const auto edges = [](int64_t num_blocks) {
    return printed(uniform(PartitionKind::kLogUniform, num_blocks).boundaries(),
                   "{:.8g}");
  };
  const auto shares = [](int64_t num_blocks) {
    return printed(masses(uniform(PartitionKind::kLogUniform, num_blocks)),
                   "{:.5f}");
  };
  EXPECT_EQ(edges(2), "0.002, 0.4, 80");
  EXPECT_EQ(edges(3), "0.002, 0.068399038, 2.3392142, 80");
  EXPECT_EQ(edges(4), "0.002, 0.028284271, 0.4, 5.6568542, 80");
  EXPECT_EQ(edges(6),
            "0.002, 0.011696071, 0.068399038, 0.4, 2.3392142, 13.679808, 80");
  EXPECT_EQ(shares(3), "0.10834, 0.84786, 0.04380");
  EXPECT_EQ(shares(4), "0.02434, 0.56911, 0.39930, 0.00726");
  EXPECT_EQ(shares(6), "0.00338, 0.10496, 0.48510, 0.36276, 0.04307, 0.00073");
}

TEST(PartitionTest, LinearEdgesAndMassesMatchTheReference) {
  const auto edges = [](int64_t num_blocks) {
    return printed(uniform(PartitionKind::kLinear, num_blocks).boundaries(),
                   "{:.10g}");
  };
  const auto cleanest = [](int64_t num_blocks) {
    return printed({masses(uniform(PartitionKind::kLinear, num_blocks))[0]},
                   "{:.6f}");
  };
  EXPECT_EQ(edges(2), "0.002, 40.001, 80");
  EXPECT_EQ(edges(3), "0.002, 26.668, 53.334, 80");
  EXPECT_EQ(edges(4), "0.002, 20.0015, 40.001, 60.0005, 80");
  EXPECT_EQ(edges(6), "0.002, 13.335, 26.668, 40.001, 53.334, 66.667, 80");
  EXPECT_EQ(cleanest(2), "0.999979");
  EXPECT_EQ(printed(masses(uniform(PartitionKind::kLinear, 3)), "{:.6f}"),
            "0.999908, 0.000085, 0.000006");
  EXPECT_EQ(cleanest(4), "0.999766");
  EXPECT_EQ(cleanest(6), "0.999209");
}

TEST(PartitionTest, ListedBoundariesAreTakenAsGiven) {
  const std::vector<double> listed = {0.002, 0.1, 0.5, 3, 80};
  const Partition partition(
      {}, {.kind = PartitionKind::kListed, .boundaries = listed}, 4);
  EXPECT_EQ(partition.boundaries(), listed);
  EXPECT_EQ(partition.block_of(0.5), 2);
  const auto shares = masses(partition);
  EXPECT_NEAR(std::accumulate(shares.begin(), shares.end(), 0.0), 1, 1e-14);
}

TEST(PartitionTest, WidePresetPutsBoundariesWhereLabelsAreHidden) {
  const Partition partition({.preset = NoisePreset::kWide}, {}, 3);
  EXPECT_EQ(printed(partition.boundaries(), "{:.2f}"),
            "0.00, 0.97, 2.29, 80.00");
}

TEST(PartitionTest, KindsHaveTheirNamesInRecipes) {
  EXPECT_EQ(enum_name(PartitionKind::kEqualProbability), "equal_probability");
  EXPECT_EQ(enum_name(PartitionKind::kLogUniform), "log_uniform");
  EXPECT_EQ(enum_name(PartitionKind::kLinear), "linear");
  EXPECT_EQ(enum_name(PartitionKind::kListed), "listed");
}

TEST(PartitionErrorTest, TooFewBlocks) {
  for (const int64_t num_blocks : {0, -1}) {
    expect_config_error([&] { published(num_blocks); }, "blocks.num_blocks");
  }
}

TEST(PartitionErrorTest, OverlapThatIsNegativeOrNotFinite) {
  for (const double overlap : {-0.01, std::numeric_limits<double>::infinity(),
                               std::numeric_limits<double>::quiet_NaN()}) {
    expect_config_error([&] { published(3, overlap); }, "partition.overlap");
  }
}

TEST(PartitionErrorTest, ListedBoundariesOfWrongCountOrderOrEnds) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::vector<double>> wrong = {{},
                                                  {0.002, 80},
                                                  {0.1, 0.5},
                                                  {0.002, 0.1, 0.5, 3, 80},
                                                  {0.002, 0.5, 0.1, 80},
                                                  {0.002, 0.1, 0.1, 80},
                                                  {80, 0.5, 0.1, 0.002},
                                                  {0.002, nan, 0.1, 80},
                                                  {0.001, 0.1, 0.5, 80},
                                                  {0.002, 0.1, 0.5, 79},
                                                  {0.002, 0.1, 90, 80}};
  for (const auto& listed : wrong) {
    const PartitionOptions options{.kind = PartitionKind::kListed,
                                   .boundaries = listed};
    expect_config_error([&] { Partition({}, options, 3); },
                        "partition.boundaries");
  }
}

TEST(PartitionErrorTest, BoundariesThatTheKindDoesNotRead) {
  for (const auto kind : {PartitionKind::kEqualProbability,
                          PartitionKind::kLogUniform, PartitionKind::kLinear}) {
    const PartitionOptions options{.kind = kind,
                                   .boundaries = {0.002, 0.1, 0.5, 80}};
    expect_config_error([&] { Partition({}, options, 3); },
                        "partition.boundaries");
  }
}

TEST(PartitionErrorTest, NoiseOptionsAreCheckedToo) {
  expect_config_error([] { Partition({.sigma_min = -1}, {}, 3); },
                      "noise.sigma_min");
}

}  // namespace
}  // namespace dblocks::noise
