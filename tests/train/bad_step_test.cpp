// SPDX-License-Identifier: Apache-2.0
// Steps whose loss or gradient is not finite, by policy: one sample of the
// training set holds a number whose square is too large.
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/train/block_step.h"
#include "tests/train/small_step.h"
#include "tests/train/toy_run.h"

namespace dblocks::train {
namespace {

using testing::contents;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

/// The toy images as numbers, some of them spoiled.
class Numbers : public data::PixelSource {
 public:
  /// Whether this time sample `i` is.
  using IsSpoiled = std::function<bool(int64_t i)>;

  explicit Numbers(IsSpoiled is_spoiled) : is_spoiled_(std::move(is_spoiled)) {}

  std::span<const uint8_t> pixels(int64_t i,
                                  std::vector<uint8_t>& buffer) const override {
    return images_.pixels(i, buffer);
  }
  bool has_values() const override { return true; }
  void values(int64_t i, std::span<float> out) const override {
    const std::vector<uint8_t> pixels = images_.pixels(i);
    for (size_t p = 0; p < out.size(); ++p) {
      out[p] = static_cast<float>(pixels[p]) / 255;
    }
    if (is_spoiled_(i)) {
      out[5] = 3e38F;
    }
  }

 private:
  data::Dataset images_ = testing::toy_images();
  IsSpoiled is_spoiled_;
};

constexpr int64_t kSpoiled = 40;

RunSetup bad_setup(BadStepPolicy policy) {
  RunSetup setup = testing::generation_setup();
  setup.loader.augment = {};
  setup.train.on_bad_step = policy;
  return setup;
}

class BadStepPolicyTest
    : public ::testing::TestWithParam<std::tuple<TrainingSchedule, int64_t>> {
 protected:
  RunSetup setup(BadStepPolicy policy) const {
    RunSetup setup = bad_setup(policy);
    setup.train.schedule = std::get<0>(GetParam());
    return setup;
  }

  /// Trains; `after` is told the loss of each step and may stop the run.
  TrainResult train(const RunSetup& setup,
                    const std::string& name,
                    const std::function<bool(double)>& stops_after = {}) {
    data::DatasetInfo info = testing::toy_images().info();
    std::vector<int64_t> labels;
    for (int64_t i = 0; i < 96; ++i) {
      labels.push_back(i % 4);
    }
    const data::Dataset images(info, labels,
                               std::make_shared<Numbers>(is_spoiled_));
    std::atomic<bool> stop{false};
    Trainer trainer(setup, images, RunFolder(folder_.path() / name),
                    {.stop = &stop,
                     .on_progress =
                         [&](const report::Progress& progress) {
                           if (stops_after) {
                             stop = stops_after(progress.loss);
                           }
                         },
                     .num_arenas = std::get<1>(GetParam())});
    return trainer.run();
  }

  std::map<std::string, std::string> found(const std::string& name) const {
    return contents(bad_setup(BadStepPolicy::kFail), folder_.path() / name);
  }

  /// bad_steps over the log of a block.
  int64_t logged_bad_steps(const std::string& name, int64_t block) const {
    std::ifstream log(RunFolder(folder_.path() / name).log(block));
    int64_t count = 0;
    for (std::string line; std::getline(log, line);) {
      count += nlohmann::json::parse(line).value("bad_steps", int64_t{0});
    }
    return count;
  }

  TemporaryFolder folder_;
  Numbers::IsSpoiled is_spoiled_ = [](int64_t i) { return i == kSpoiled; };
};

TEST_P(BadStepPolicyTest, EndsTheRunUnlessToldOtherwise) {
  try {
    train(setup(BadStepPolicy::kFail), "run");
    FAIL() << "trained on numbers that are not finite";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("finite"));
    EXPECT_THAT(error.what(), HasSubstr("block 0"));
    EXPECT_THAT(error.what(), HasSubstr("on_bad_step=skip"));
  }
}

TEST_P(BadStepPolicyTest, SkippedStepsAreCountedAndTheRestIsLearned) {
  const TrainResult result = train(setup(BadStepPolicy::kSkip), "run");
  EXPECT_FALSE(result.is_interrupted);
  for (int64_t block = 0; block < 3; ++block) {
    EXPECT_EQ(result.steps[block], 12);
    // Two epochs of six steps.
    EXPECT_EQ(logged_bad_steps("run", block), 2) << block;
    std::ifstream log(RunFolder(folder_.path() / "run").log(block));
    for (std::string line; std::getline(log, line);) {
      EXPECT_TRUE(nlohmann::json::parse(line).at("loss").is_number()) << line;
    }
  }
}

TEST_P(BadStepPolicyTest, InterruptedRunsEndLikeUninterruptedOnes) {
  for (const BadStepPolicy policy :
       {BadStepPolicy::kSkip, BadStepPolicy::kRollBack}) {
    const std::string name(enum_name(policy));
    train(setup(policy), name);
    bool is_done = false;
    for (int64_t after = 1; !is_done; after += 2) {
      int64_t taken = 0;
      is_done = !train(setup(policy), name + "_parts", [&](double) {
                   return ++taken == after;
                 }).is_interrupted;
    }
    EXPECT_EQ(found(name + "_parts"), found(name));
  }
}

TEST_P(BadStepPolicyTest, WhatIsBadTwiceIsSkippedAfterGoingBack) {
  train(setup(BadStepPolicy::kSkip), "skip");
  train(setup(BadStepPolicy::kRollBack), "back");
  EXPECT_EQ(found("back"), found("skip"));
}

TEST_P(BadStepPolicyTest, AfterAPassingFaultTheRunIsAsIfThereHadBeenNone) {
  is_spoiled_ = [](int64_t) { return false; };
  train(setup(BadStepPolicy::kFail), "calm");
  std::atomic<int64_t> reads{0};
  is_spoiled_ = [&](int64_t i) { return i == kSpoiled && ++reads == 1; };
  train(setup(BadStepPolicy::kRollBack), "shaken");
  EXPECT_GT(reads, 1);
  EXPECT_EQ(found("shaken"), found("calm"));
}

TEST_P(BadStepPolicyTest, TrainingThatHasFailedEnds) {
  is_spoiled_ = [](int64_t) { return true; };
  for (const BadStepPolicy policy :
       {BadStepPolicy::kSkip, BadStepPolicy::kRollBack}) {
    EXPECT_THAT([&] { train(setup(policy), std::string(enum_name(policy))); },
                ::testing::Throws<ConfigError>(
                    ::testing::Property(&ConfigError::what, HasSubstr("10 "))));
  }
  // Bad steps in a row are counted over interruptions.
  int64_t sessions = 0;
  try {
    while (++sessions < 100) {
      train(setup(BadStepPolicy::kSkip), "parts", [](double) { return true; });
    }
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("in a row"));
  }
  EXPECT_GE(sessions, 10);
  EXPECT_LE(sessions, 30);
}

TEST(BadStepTest, LeavesTheStateAsItWas) {
  RunSetup setup = testing::toy_setup();
  const auto state = testing::drawn_state(setup, 0);
  const auto before = testing::drawn_state(setup, 0);
  tasks::LabelledBatch batch = testing::drawn_batch(setup, 8);
  batch.images[3][0][2][2] = std::nan("");
  const StepOptions options{
      .optim = setup.optim, .total_steps = 10, .fails_if_bad = false};
  const StepResult result = block_step(*state, batch, {1, 0, 0}, options);
  EXPECT_TRUE(result.is_bad);
  EXPECT_EQ(state->step(), before->step() + 1);
  EXPECT_TRUE(at::equal(state->owned().weights(), before->owned().weights()));
  EXPECT_TRUE(at::equal(state->owned().second_moment(),
                        before->owned().second_moment()));
  EXPECT_TRUE(at::equal(state->owned().average(), before->owned().average()));
  const StepResult next =
      block_step(*state, testing::drawn_batch(setup, 8), {1, 0, 1}, options);
  EXPECT_FALSE(next.is_bad);
  EXPECT_FALSE(at::equal(state->owned().weights(), before->owned().weights()));
}

INSTANTIATE_TEST_SUITE_P(
    SchedulesAndArenas,
    BadStepPolicyTest,
    ::testing::Combine(::testing::Values(TrainingSchedule::kSequential,
                                         TrainingSchedule::kAlternating),
                       ::testing::Values(1, 2, 3)));

}  // namespace
}  // namespace dblocks::train
