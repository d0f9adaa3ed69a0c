// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "dblocks/core/error.h"
#include "tests/data/support.h"

namespace dblocks::data {
namespace {

std::vector<uint32_t> samples_of(BatchOrder& order, int64_t step) {
  const auto samples = order.batch_samples(step);
  return {samples.begin(), samples.end()};
}

TEST(EpochOrderTest, IsAPermutation) {
  for (const int64_t size : {1, 2, 1000}) {
    std::vector<uint32_t> order = epoch_order(7, 3, size);
    std::sort(order.begin(), order.end());
    std::vector<uint32_t> all(static_cast<size_t>(size));
    std::iota(all.begin(), all.end(), 0u);
    EXPECT_EQ(order, all);
  }
}

TEST(EpochOrderTest, DependsOnSeedAndEpochAlone) {
  EXPECT_EQ(epoch_order(7, 3, 100), epoch_order(7, 3, 100));
  EXPECT_NE(epoch_order(7, 3, 100), epoch_order(7, 4, 100));
  EXPECT_NE(epoch_order(7, 3, 100), epoch_order(8, 3, 100));
}

TEST(EpochOrderTest, EveryPermutationIsEquallyLikely) {
  std::map<std::vector<uint32_t>, int> counts;
  for (int64_t epoch = 0; epoch < 6000; ++epoch) {
    ++counts[epoch_order(1, epoch, 3)];
  }
  EXPECT_EQ(counts.size(), 6u);
  for (const auto& [order, count] : counts) {
    EXPECT_NEAR(count, 1000, 150);  // five standard deviations
  }
}

TEST(BatchOrderTest, AnEpochVisitsSamplesOnceAndDropsTheRemainder) {
  BatchOrder order(103, {.batch_size = 10, .seed = 5});
  EXPECT_EQ(order.batches_per_epoch(), 10);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int> visits(103, 0);
    for (int64_t step = epoch * 10; step < (epoch + 1) * 10; ++step) {
      EXPECT_EQ(order.epoch(step), epoch);
      for (const uint32_t sample : order.batch_samples(step)) {
        ++visits.at(sample);
      }
    }
    EXPECT_EQ(std::count(visits.begin(), visits.end(), 1), 100);
    EXPECT_EQ(std::count(visits.begin(), visits.end(), 0), 3);
  }
}

TEST(BatchOrderTest, AnyStepCanBeAskedForFirst) {
  BatchOrder forward(50, {.batch_size = 7, .seed = 5});
  std::vector<std::vector<uint32_t>> steps;
  for (int64_t step = 0; step < 30; ++step) {
    steps.push_back(samples_of(forward, step));
  }
  for (const int64_t step : {29, 0, 13, 14, 6, 7}) {
    BatchOrder fresh(50, {.batch_size = 7, .seed = 5});
    EXPECT_EQ(samples_of(fresh, step), steps[size_t(step)]);
  }
}

TEST(BatchOrderTest, WithoutShufflingKeepsTheOrderOfTheFiles) {
  BatchOrder order(5, {.batch_size = 2, .shuffle = false});
  EXPECT_THAT(samples_of(order, 1), ::testing::ElementsAre(2, 3));
  EXPECT_THAT(samples_of(order, 2), ::testing::ElementsAre(0, 1));
}

TEST(BatchOrderTest, RejectsABatchLargerThanTheDataSet) {
  for (const int64_t size : {0, -1, 11}) {
    const std::string message = testing::error_of<ConfigError>(
        [&] { BatchOrder(10, {.batch_size = size}); });
    EXPECT_THAT(message, ::testing::HasSubstr("data.batch_size"));
    EXPECT_THAT(message, ::testing::HasSubstr(std::to_string(size)));
  }
}

}  // namespace
}  // namespace dblocks::data
