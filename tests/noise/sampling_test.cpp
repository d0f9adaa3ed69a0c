// SPDX-License-Identifier: Apache-2.0
// What sample_sigma draws.
#include <algorithm>
#include <numbers>

#include "dblocks/core/random.h"
#include "dblocks/noise/partition.h"
#include "tests/noise/testing.h"

namespace dblocks::noise {
namespace {

constexpr int kDrawsPerBlock = 20000;

std::string draws(const Partition& partition, int64_t from_cleanest) {
  const int64_t block = partition.num_blocks() - 1 - from_cleanest;
  return printed(
      {partition.sample_sigma(block, 0.1), partition.sample_sigma(block, 0.5),
       partition.sample_sigma(block, 0.9)},
      "{:.10g}");
}

std::vector<double> draw_sorted(const Partition& partition, int64_t block) {
  RandomStream stream(7, RandomPurpose::kSigma, static_cast<uint64_t>(block),
                      0);
  std::vector<double> sigmas(kDrawsPerBlock);
  std::ranges::generate(sigmas, [&] {
    return partition.sample_sigma(block, stream.next_uniform());
  });
  std::ranges::sort(sigmas);
  return sigmas;
}

std::vector<double> draw_from_all(const Partition& partition) {
  std::vector<double> all;
  for (int64_t block = 0; block < partition.num_blocks(); ++block) {
    const auto sigmas = draw_sorted(partition, block);
    all.insert(all.end(), sigmas.begin(), sigmas.end());
  }
  std::ranges::sort(all);
  return all;
}

// The published distribution restricted to [low, high], from its formula.
double restricted_cdf(double sigma, double low, double high) {
  const auto phi = [](double at) {
    return 0.5 * std::erfc(-(std::log(at) + 1.2) / 1.2 / std::numbers::sqrt2);
  };
  return (phi(sigma) - phi(low)) / (phi(high) - phi(low));
}

// Kolmogorov's statistic: greatest distance of the two distribution functions
// times sqrt(n). Exceeds 1.95 by chance once in a thousand samples.
double kolmogorov(const std::vector<double>& sorted, double low, double high) {
  const auto count = static_cast<double>(sorted.size());
  double distance = 0;
  for (size_t i = 0; i < sorted.size(); ++i) {
    const double cdf = restricted_cdf(sorted[i], low, high);
    const auto rank = static_cast<double>(i);
    distance =
        std::max({distance, cdf - rank / count, (rank + 1) / count - cdf});
  }
  return distance * std::sqrt(count);
}

TEST(SampleSigmaTest, DrawsMatchTheReferenceWithoutOverlap) {
  const Partition three = published(3);
  EXPECT_EQ(draws(three, 0), "0.03335760292, 0.09434013563, 0.1605344165");
  EXPECT_EQ(draws(three, 1), "0.2001263944, 0.3012001026, 0.4533220823");
  EXPECT_EQ(draws(three, 2), "0.5651250793, 0.9616651343, 2.720130164");
  const Partition four = published(4);
  EXPECT_EQ(draws(four, 0), "0.02867686952, 0.07574781096, 0.1216686289");
  EXPECT_EQ(draws(four, 1), "0.1470069254, 0.2054936359, 0.2793674581");
  EXPECT_EQ(draws(four, 2), "0.3247389993, 0.4414817335, 0.6171287215");
  EXPECT_EQ(draws(four, 3), "0.7456537832, 1.197722139, 3.164298374");
}

TEST(SampleSigmaTest, DrawsMatchTheReferenceWithOverlap) {
  const Partition three = published(3, 0.05);
  EXPECT_EQ(draws(three, 0), "0.0370588669, 0.1106254631, 0.198108699");
  EXPECT_EQ(draws(three, 1), "0.1923199388, 0.3011999889, 0.471722723");
  EXPECT_EQ(draws(three, 2), "0.4460447055, 0.8043097186, 2.417800398");
  const Partition four = published(4, 0.1);
  EXPECT_EQ(draws(four, 0), "0.03545962808, 0.1034058815, 0.1810141444");
  EXPECT_EQ(draws(four, 1), "0.1385871923, 0.2074348068, 0.2985886839");
  EXPECT_EQ(draws(four, 2), "0.3038340314, 0.4373498179, 0.6546218792");
  EXPECT_EQ(draws(four, 3), "0.4753550594, 0.8431728044, 2.492999243");
}

TEST(SampleSigmaTest, MediansMatchTheReference) {
  const auto row = [](int64_t num_blocks) {
    const Partition partition = published(num_blocks);
    return printed(cleanest_first(partition,
                                  [&](int64_t b) {
                                    return partition.sample_sigma(b, 0.5);
                                  }),
                   "{:.10g}");
  };
  EXPECT_EQ(row(2), "0.1340760955, 0.6766486433");
  EXPECT_EQ(row(3), "0.09434013563, 0.3012001026, 0.9616651343");
  EXPECT_EQ(row(4), "0.07574781096, 0.2054936359, 0.4414817335, 1.197722139");
  EXPECT_EQ(row(6),
            "0.05729803662, 0.1340760955, 0.2339869577, 0.3877206752, "
            "0.6766486433, 1.583425752");
}

TEST(SampleSigmaTest, DrawsStayInTheTrainingIntervalAndGrowWithU) {
  const Partition partition = published(6, 0.05);
  for (int64_t block = 0; block < 6; ++block) {
    const auto range = partition.training_interval(block);
    double before = 0;
    for (int i = 0; i <= 1000; ++i) {
      const double sigma = partition.sample_sigma(block, i / 1000.0);
      EXPECT_GE(sigma, range.low);
      EXPECT_LE(sigma, range.high);
      EXPECT_GT(sigma, before);
      before = sigma;
    }
    EXPECT_NEAR(partition.sample_sigma(block, 0) / range.low, 1, 1e-12);
    EXPECT_NEAR(before / range.high, 1, 1e-12);
  }
}

TEST(SampleSigmaTest, MergedDrawsFollowTheTruncatedLogNormal) {
  for (const int64_t num_blocks : {1, 3, 4}) {
    EXPECT_LT(kolmogorov(draw_from_all(published(num_blocks)), 0.002, 80), 1.95)
        << num_blocks;
  }
}

TEST(SampleSigmaTest, MergedDrawsOfUnequalMassesFollowAnotherDistribution) {
  const Partition partition(
      {}, {.kind = PartitionKind::kLogUniform, .overlap = 0}, 3);
  EXPECT_GT(kolmogorov(draw_from_all(partition), 0.002, 80), 10);
}

TEST(SampleSigmaTest, ABlockDrawsTheLogNormalOfItsTrainingInterval) {
  const Partition partition = published(3, 0.05);
  for (int64_t block = 0; block < 3; ++block) {
    const auto [low, high] = partition.training_interval(block);
    EXPECT_LT(kolmogorov(draw_sorted(partition, block), low, high), 1.95)
        << block;
  }
}

TEST(SampleSigmaTest, SharesOutsideTheOwnIntervalMatchTheReference) {
  const auto row = [](const Partition& partition) {
    return printed(
        cleanest_first(partition,
                       [&](int64_t block) {
                         int outside = 0;
                         for (int i = 0; i < 100000; ++i) {
                           const double sigma = partition.sample_sigma(
                               block, (i + 0.5) / 100000);
                           outside += partition.block_of(sigma) != block;
                         }
                         return outside / 100000.0;
                       }),
        "{:.3f}");
  };
  EXPECT_EQ(row(published(2, 0.05)), "0.142, 0.155");
  EXPECT_EQ(row(published(3, 0.05)), "0.175, 0.085, 0.193");
  EXPECT_EQ(row(published(4, 0.1)), "0.330, 0.161, 0.161, 0.361");
  const std::string six = row(published(6, 0.05));
  EXPECT_EQ(six.substr(0, 12), "0.206, 0.090");
  EXPECT_EQ(six.substr(six.size() - 5), "0.231");
}

}  // namespace
}  // namespace dblocks::noise
