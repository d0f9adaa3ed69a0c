// SPDX-License-Identifier: Apache-2.0
// A batch run through the network in parts gives the step of the whole batch.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/train/small_step.h"
#include "tests/train/toy_run.h"

namespace dblocks::train {
namespace {

using testing::drawn_batch;
using testing::drawn_state;
using testing::relative_distance;
using testing::toy_setup;

constexpr int64_t kSamples = 16;

std::vector<RunSetup> all_setups() {
  std::vector<RunSetup> setups;
  for (const auto& weight : tasks::kLossWeightNames) {
    setups.push_back(toy_setup());
    setups.back().task.classification.loss_weight = weight.value;
  }
  for (const auto& method : tasks::kMethodNames) {
    setups.push_back(toy_setup());
    setups.back().task.method = method.value;
    setups.back().task.classification.label_smoothing = 0.1;
  }
  setups.push_back(testing::generation_setup());
  return setups;
}

TEST(MicroBatchTest, GradientsAddUpToThoseOfTheWholeBatch) {
  for (const RunSetup& setup : all_setups()) {
    SCOPED_TRACE(::testing::Message()
                 << enum_name(setup.task.kind) << ", "
                 << enum_name(setup.task.method) << ", weight "
                 << enum_name(setup.task.classification.loss_weight));
    const tasks::LabelledBatch batch = drawn_batch(setup, kSamples);
    const StepOptions options{.optim = setup.optim, .total_steps = 12};
    const auto whole = drawn_state(setup, 0);
    const StepResult expected = block_step(*whole, batch, {7, 0, 5}, options);
    ASSERT_GT(expected.gradient_norm, 0);
    for (const int64_t micro_batch : {1, 5, 8, 100}) {
      const auto parts = drawn_state(setup, 0);
      StepOptions in_parts = options;
      in_parts.micro_batch = micro_batch;
      const StepResult found = block_step(*parts, batch, {7, 0, 5}, in_parts);
      EXPECT_NEAR(found.loss, expected.loss, 1e-6 * expected.loss);
      EXPECT_EQ(found.num_correct, expected.num_correct);
      EXPECT_LT(relative_distance(parts->owned().gradient(),
                                  whole->owned().gradient()),
                2e-6)
          << "micro-batches of " << micro_batch;
    }
  }
}

TEST(MicroBatchTest, RecomputedPartsGiveTheSameBitsAsPartsKept) {
  for (RunSetup setup : {toy_setup(), testing::generation_setup()}) {
    setup.task.blocks.num_blocks = 1;
    const tasks::LabelledBatch batch = drawn_batch(setup, kSamples);
    const StepOptions options{
        .optim = setup.optim, .total_steps = 12, .micro_batch = 6};
    const auto kept = drawn_state(setup, 0);
    block_step(*kept, batch, {7, 0, 5}, options);
    setup.task.recompute = true;
    const auto recomputed = drawn_state(setup, 0);
    block_step(*recomputed, batch, {7, 0, 5}, options);
    EXPECT_TRUE(kept->owned().gradient().equal(recomputed->owned().gradient()));
    EXPECT_TRUE(kept->owned().weights().equal(recomputed->owned().weights()));
  }
}

TEST(MicroBatchTest, ARunInPartsEndsWhereTheWholeOneDoes) {
  testing::TemporaryFolder folder;
  RunSetup setup = toy_setup();
  const auto last_loss = [&](const char* name) {
    const auto run = folder.path() / name;
    testing::train_toy(setup, run);
    const std::string log = testing::contents(setup, run).at("2/log");
    const size_t key = log.rfind("\"loss\":");
    return std::stod(log.substr(key + 7));
  };
  const double whole = last_loss("whole");
  setup.train.micro_batch = 5;
  EXPECT_NEAR(last_loss("parts"), whole, 1e-4 * whole);
}

}  // namespace
}  // namespace dblocks::train
