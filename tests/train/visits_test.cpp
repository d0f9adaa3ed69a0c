// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/visits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace dblocks::train {
namespace {

/// Units in the order in which they take their steps, one digit a step.
std::string order(const TrainOptions& options, int64_t num_units) {
  std::vector<int64_t> done(num_units, 0);
  std::string result;
  while (const auto visit = next_visit(options, 1, done)) {
    EXPECT_GE(visit->steps, 1);
    result += std::string(visit->steps, static_cast<char>('0' + visit->unit));
    done[visit->unit] += visit->steps;
  }
  for (const int64_t steps : done) {
    EXPECT_EQ(steps, options.steps);
  }
  return result;
}

TEST(VisitsTest, SequentialFinishesOneBlockBeforeTheNext) {
  EXPECT_EQ(order({.steps = 3}, 3), "000111222");
}

TEST(VisitsTest, AlternatingTakesTurnsAndAShortLastRound) {
  EXPECT_EQ(order({.steps = 5,
                   .schedule = TrainingSchedule::kAlternating,
                   .steps_per_visit = 2},
                  3),
            "001122001122012");
}

TEST(VisitsTest, RandomUsesEveryBlockEquallyInTheEnd) {
  const std::string random =
      order({.steps = 200, .schedule = TrainingSchedule::kRandom}, 3);
  EXPECT_EQ(random.size(), 600u);
  // While none is finished each is drawn about a third of the time.
  const std::string start = random.substr(0, 300);
  for (const char unit : {'0', '1', '2'}) {
    const auto count = std::count(start.begin(), start.end(), unit);
    EXPECT_GT(count, 65);
    EXPECT_LT(count, 135);
  }
}

TEST(VisitsTest, AResumedRunGoesOnAsItWouldHave) {
  const TrainOptions options{.steps = 50,
                             .schedule = TrainingSchedule::kRandom};
  std::vector<int64_t> done = {3, 9, 1};
  const auto visit = next_visit(options, 1, done);
  EXPECT_EQ(visit->unit, next_visit(options, 1, done)->unit);
}

}  // namespace
}  // namespace dblocks::train
