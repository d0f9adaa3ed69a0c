// SPDX-License-Identifier: Apache-2.0
// A step recorded as a CUDA graph is the step taken kernel by kernel.
#include "dblocks/train/recorded_step.h"

#include <ATen/Context.h>

#include <limits>

#include "tests/cuda/device.h"
#include "tests/train/small_step.h"
#include "tests/train/toy_run.h"

namespace dblocks::train {
namespace {

constexpr int64_t kSamples = 16;
constexpr int64_t kManySteps = 1000;

class RecordedStepTest : public dblocks::testing::CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
  }
  void TearDown() override {
    at::globalContext().setDeterministicAlgorithms(false, false);
  }

  tasks::LabelledBatch batch_of(const RunSetup& setup) const {
    const tasks::LabelledBatch batch = testing::drawn_batch(setup, kSamples);
    return {batch.images.to(cuda_), batch.labels.to(cuda_)};
  }

  /// Losses of some steps, and the state after them.
  std::vector<double> train(UnitState& state,
                            const RunSetup& setup,
                            bool records) const {
    Stepper stepper(records);
    StepOptions options{.optim = setup.optim, .total_steps = kManySteps};
    std::vector<double> losses;
    for (int64_t step = 0; step < 10; ++step) {
      losses.push_back(stepper
                           .step(state, batch_of(setup), {7, 0, step}, options,
                                 kManySteps - step)
                           .loss);
    }
    EXPECT_EQ(stepper.is_recorded(), records);
    stepper.forget();
    return losses;
  }
};

std::vector<RunSetup> all_setups() {
  std::vector<RunSetup> setups{testing::toy_setup(),
                               testing::generation_setup()};
  setups.push_back(testing::toy_setup());
  setups.back().task.shape.options.dropout = 0.1;
  setups.push_back(testing::toy_setup());
  setups.back().optim.moments = MomentFormat::kInt8;
  setups.push_back(testing::toy_setup());
  setups.back().task.method = tasks::Method::kEndToEnd;
  return setups;
}

TEST_F(RecordedStepTest, GivesTheBitsOfStepsTakenOneByOne) {
  for (size_t i = 0; i < all_setups().size(); ++i) {
    SCOPED_TRACE(i);
    const RunSetup setup = all_setups()[i];
    const auto plain = testing::drawn_state(setup, 0, cuda_),
               recorded = testing::drawn_state(setup, 0, cuda_);
    EXPECT_EQ(train(*recorded, setup, true), train(*plain, setup, false));
    EXPECT_EQ(recorded->step(), plain->step());
    EXPECT_TRUE(recorded->owned().weights().equal(plain->owned().weights()));
    EXPECT_TRUE(recorded->owned().second_moment().equal(
        plain->owned().second_moment()));
  }
}

TEST_F(RecordedStepTest, UnitsThatTakeTurnsUseTheSameMemory) {
  const RunSetup setup = testing::toy_setup();
  const StepOptions plain{.optim = setup.optim, .total_steps = kManySteps};
  std::vector<std::vector<double>> losses(2);
  std::vector<size_t> num_recorded(2);
  for (const bool records : {false, true}) {
    const auto first = testing::drawn_state(setup, 0, cuda_),
               second = testing::drawn_state(setup, 1, cuda_);
    Stepper stepper(records);
    StepOptions options = plain;
    int64_t step = 0;
    for (int64_t visit = 0; visit < 8; ++visit) {
      UnitState& state = visit % 2 == 0 ? *first : *second;
      for (int64_t left = 5; left > 0; --left, ++step) {
        losses[records].push_back(stepper
                                      .step(state, batch_of(setup),
                                            {7, visit % 2, step}, options, left)
                                      .loss);
      }
      num_recorded[records] += stepper.is_recorded() ? 1 : 0;
      stepper.forget();
      EXPECT_FALSE(stepper.is_recorded());
    }
  }
  EXPECT_EQ(losses[1], losses[0]);
  EXPECT_EQ(num_recorded[0], 0);
  EXPECT_EQ(num_recorded[1], 7);  // of 8: the first is taken one by one
}

TEST_F(RecordedStepTest, IsNearTheStepsOfTheCpu) {
  RunSetup setup = testing::toy_setup();
  // In attention LibTorch drops other elements there than here.
  setup.task.shape.options.dropout = 0;
  const auto cuda = testing::drawn_state(setup, 0, cuda_);
  const auto cpu = testing::drawn_state(setup, 0);
  const std::vector<double> found = train(*cuda, setup, true);
  StepOptions options{.optim = setup.optim, .total_steps = kManySteps};
  for (size_t step = 0; step < found.size(); ++step) {
    const double expected =
        block_step(*cpu, testing::drawn_batch(setup, kSamples),
                   {7, 0, static_cast<int64_t>(step)}, options)
            .loss;
    EXPECT_NEAR(found[step], expected, 2e-4 * expected) << "step " << step;
  }
}

TEST_F(RecordedStepTest, ChangesNothingWhereTheLossIsNotFinite) {
  const RunSetup setup = testing::toy_setup();
  const auto state = testing::drawn_state(setup, 0, cuda_);
  Stepper stepper(true);
  StepOptions options{.optim = setup.optim, .total_steps = kManySteps};
  tasks::LabelledBatch batch = batch_of(setup);
  for (int64_t step = 0; step < 6; ++step) {
    stepper.step(*state, batch, {7, 0, step}, options, kManySteps);
  }
  ASSERT_TRUE(stepper.is_recorded());
  const at::Tensor weights = state->owned().weights().clone();
  const at::Tensor moment = state->owned().second_moment().clone();
  batch.images.fill_(std::numeric_limits<double>::quiet_NaN());
  EXPECT_THROW(stepper.step(*state, batch, {7, 0, 6}, options, kManySteps),
               ConfigError);
  EXPECT_EQ(state->step(), 6);
  EXPECT_TRUE(state->owned().weights().equal(weights));
  EXPECT_TRUE(state->owned().second_moment().equal(moment));
}

TEST_F(RecordedStepTest, ABatchOfAnotherSizeIsTakenOneByOne) {
  const RunSetup setup = testing::toy_setup();
  const auto state = testing::drawn_state(setup, 0, cuda_);
  Stepper stepper(true);
  StepOptions options{.optim = setup.optim, .total_steps = kManySteps};
  tasks::LabelledBatch batch = batch_of(setup);
  for (int64_t step = 0; step < 6; ++step) {
    stepper.step(*state, batch, {7, 0, step}, options, kManySteps);
  }
  batch = {batch.images.narrow(0, 0, 5), batch.labels.narrow(0, 0, 5)};
  EXPECT_GT(stepper.step(*state, batch, {7, 0, 6}, options, kManySteps).loss,
            0);
  EXPECT_EQ(state->step(), 7);
}

}  // namespace
}  // namespace dblocks::train
