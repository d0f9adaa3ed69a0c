// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/paging_plan.h"

#include <gtest/gtest.h>

#include <vector>

namespace dblocks::memory {
namespace {

/// Units with 100 bytes of weights each: 300 travel, a step takes 170 more.
std::vector<UnitPlan> units(int64_t count) {
  const UnitPlan unit{.weights_bytes = 100,
                      .gradient_bytes = 100,
                      .moments_bytes = 200,
                      .activation_bytes = 70,
                      .peak_bytes = 470};
  return std::vector<UnitPlan>(count, unit);
}

TEST(PagingPlanTest, CountsTheStatesThatFitBesideAStepAndTheProgram) {
  // Program 50, step 170, then 300 a state, and 100 to build one meanwhile.
  struct Case {
    int64_t budget, num_arenas, peak;
  };
  for (const Case& c : std::vector<Case>{{519, 0, 520},
                                         {520, 1, 520},
                                         {919, 1, 520},
                                         {920, 2, 920},
                                         {1219, 2, 920},
                                         {1520, 4, 1520},
                                         {99999, 4, 1520}}) {
    const PagingPlan plan = plan_paging(units(4), c.budget, 50);
    EXPECT_EQ(plan.num_arenas, c.num_arenas) << c.budget;
    EXPECT_EQ(plan.peak_bytes, c.peak) << c.budget;
    EXPECT_EQ(plan.least_bytes, 520);
    EXPECT_EQ(plan.fits(), c.num_arenas > 0);
  }
}

TEST(PagingPlanTest, DiskHoldsEveryUnitUnlessAllAreInMemory) {
  EXPECT_EQ(plan_paging(units(4), 920, 50).disk_bytes(), 4 * 300);
  EXPECT_EQ(plan_paging(units(4), 920, 50).num_paged(), 2);
  EXPECT_EQ(plan_paging(units(4), 1520, 50).disk_bytes(), 0);
  EXPECT_EQ(plan_paging(units(1), 600, 50).disk_bytes(), 0);
}

TEST(PagingPlanTest, TheLargestUnitDecides) {
  std::vector<UnitPlan> all = units(2);
  all[1].activation_bytes += 40;
  all[1].peak_bytes += 40;
  EXPECT_EQ(plan_paging(all, 1000, 0).least_bytes, 510);
}

}  // namespace
}  // namespace dblocks::memory
