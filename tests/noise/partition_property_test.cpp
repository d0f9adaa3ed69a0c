// SPDX-License-Identifier: Apache-2.0
// What holds for every noise distribution and number of blocks.
#include <gtest/gtest.h>

#include <rapidcheck/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/noise/testing.h"

namespace dblocks::noise {
namespace {

// A number in [low, high), in steps of a thousandth of the range.
double between(double low, double high) {
  return low + (high - low) * *rc::gen::inRange(0, 1000) / 1000.0;
}

NoiseOptions any_noise() {
  return {.preset = NoisePreset::kCustom,
          .mean = between(-3, 2),
          .spread = between(0.5, 2.5),
          .sigma_min = between(0.001, 0.05),
          .sigma_max = between(5, 150)};
}

Partition any_partition() {
  const auto kind =
      *rc::gen::element(PartitionKind::kEqualProbability,
                        PartitionKind::kLogUniform, PartitionKind::kLinear);
  return Partition(any_noise(), {.kind = kind, .overlap = between(0, 0.3)},
                   *rc::gen::inRange(1, 40));
}

RC_GTEST_PROP(PartitionPropertyTest, BoundariesAscendBetweenExactEnds, ()) {
  const Partition partition = any_partition();
  const auto& boundaries = partition.boundaries();
  RC_ASSERT(boundaries.front() == partition.schedule().options().sigma_min);
  RC_ASSERT(boundaries.back() == partition.schedule().options().sigma_max);
  RC_ASSERT(std::ranges::adjacent_find(boundaries, std::greater_equal<>()) ==
            boundaries.end());
}

RC_GTEST_PROP(PartitionPropertyTest, ASigmaLiesInTheIntervalOfItsBlock, ()) {
  const Partition partition = any_partition();
  const auto& options = partition.schedule().options();
  const double sigma = std::exp(
      between(std::log(options.sigma_min), std::log(options.sigma_max)));
  const auto own = partition.interval(partition.block_of(sigma));
  RC_ASSERT(sigma <= own.high);
  RC_ASSERT(sigma > own.low ||
            partition.block_of(sigma) == partition.num_blocks() - 1);
}

RC_GTEST_PROP(PartitionPropertyTest, DrawsStayInTheTrainingInterval, ()) {
  const Partition partition = any_partition();
  const int64_t block = *rc::gen::inRange<int64_t>(0, partition.num_blocks());
  const auto range = partition.training_interval(block);
  const double sigma = partition.sample_sigma(block, between(0, 1));
  RC_ASSERT(range.low <= sigma && sigma <= range.high);
}

RC_GTEST_PROP(PartitionPropertyTest, EveryBlockIsCalledWhenCallsSuffice, ()) {
  const int64_t num_blocks = *rc::gen::inRange(1, 40);
  const int64_t num_calls = num_blocks + *rc::gen::inRange(0, 60);
  const Partition partition(any_noise(), {}, num_blocks);
  const auto counts =
      calls_per_block(quantile_schedule(partition, num_calls), num_blocks);
  RC_ASSERT(std::ranges::min(counts) >= 1);
}

}  // namespace
}  // namespace dblocks::noise
