// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/time_plan.h"

#include <gtest/gtest.h>

#include <vector>

namespace dblocks::memory {
namespace {

TEST(TimePlanTest, AddsProductsAndMemoryAndTakesTheSlowestUnit) {
  const StepShape shape{.batch_size = 2,
                        .tokens = 5,
                        .patches = 4,
                        .patch_numbers = 12,
                        .width = 8,
                        .heads = 2,
                        .mlp_width = 16,
                        .num_classes = 3};
  const std::vector<UnitShape> units = {{.num_layers = 1}, {.num_layers = 3}};
  const StepWork small = work_of(shape, units[0]);
  const StepWork large = work_of(shape, units[1]);
  const TimePlan plan =
      plan_time(shape, units, {.matmul_flops = 1e6, .memory_bytes = 1e5});
  EXPECT_DOUBLE_EQ(plan.products_seconds, large.hardware_flops() / 1e6);
  EXPECT_DOUBLE_EQ(plan.memory_seconds, large.moved_bytes() / 1e5);
  EXPECT_DOUBLE_EQ(plan.sweep_seconds, plan.step_seconds() +
                                           small.hardware_flops() / 1e6 +
                                           small.moved_bytes() / 1e5);
}

// A state of 60 bytes takes 2 + 3 seconds to move.
constexpr MachineRates kRates{.matmul_flops = 1,
                              .memory_bytes = 1,
                              .state_in_bytes = 30,
                              .state_out_bytes = 20};

PagingPlan paging(int64_t num_units, int64_t num_arenas) {
  return {.num_units = num_units, .num_arenas = num_arenas, .state_bytes = 60};
}

TEST(PagedTimePlanTest, WithoutOverlapEveryVisitWaitsForItsMove) {
  const PagedTimePlan plan = plan_paged_time(paging(4, 1), 0.5, kRates, 10);
  EXPECT_EQ(plan.move_seconds, 5);
  EXPECT_EQ(plan.steps_to_hide, 10);
  EXPECT_EQ(plan.step_seconds, 1);  // 10 steps of 0.5 s, then 5 s
  EXPECT_EQ(plan.wait_share, 0.5);
}

TEST(PagedTimePlanTest, WithOverlapOnlyWhatStepsDoNotCoverIsWaitedFor) {
  const auto plan = [](int64_t arenas, int64_t steps) {
    return plan_paged_time(paging(4, arenas), 0.5, kRates, steps);
  };
  EXPECT_DOUBLE_EQ(plan(2, 4).step_seconds, (2 + 3) / 4.0);
  EXPECT_DOUBLE_EQ(plan(2, 4).wait_share, 0.6);
  // With three states, of 0 1 2 3 0 1 2 3 ... every other one is there.
  EXPECT_DOUBLE_EQ(plan(3, 4).step_seconds, (2 + 3 / 2.0) / 4);
  EXPECT_EQ(plan(2, 10).step_seconds, 0.5);
  EXPECT_EQ(plan(2, 10).wait_share, 0);
}

TEST(PagedTimePlanTest, AutoStaysAsLongAsTrainingWould) {
  EXPECT_EQ(plan_paged_time(paging(4, 2), 0.5, kRates, 0).steps_per_visit, 20);
  const PagedTimePlan alone = plan_paged_time(paging(4, 1), 0.5, kRates, 0);
  EXPECT_EQ(alone.steps_per_visit, 200);
  EXPECT_DOUBLE_EQ(alone.wait_share, 1.0 / 21);
  EXPECT_EQ(plan_paged_time(paging(4, 2), 1e6, kRates, 0).steps_per_visit, 1);
}

}  // namespace
}  // namespace dblocks::memory
