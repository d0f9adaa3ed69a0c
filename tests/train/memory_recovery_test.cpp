// SPDX-License-Identifier: Apache-2.0
// What happens when memory runs out in the middle of a step.
#include "dblocks/train/memory_recovery.h"

#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <atomic>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/core/log.h"
#include "dblocks/memory/meter.h"
#include "dblocks/train/memory_probe.h"
#include "dblocks/train/update.h"
#include "tests/train/small_step.h"
#include "tests/train/toy_run.h"

namespace dblocks::train {
namespace {

using testing::drawn_batch;
using testing::drawn_state;
using testing::relative_distance;
using testing::toy_setup;

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

/// Stands before the program's allocator and refuses one tensor. Scalars, which
/// LibTorch makes of factors, are not counted.
class RefusingAllocator final : public c10::Allocator {
 public:
  explicit RefusingAllocator(c10::Allocator* inner) : inner_(inner) {}

  /// Refuses the tensor that comes after `count` others.
  void refuse_after(int64_t count) { left_ = count; }
  int64_t left() const { return left_; }

  c10::DataPtr allocate(size_t size) override {
    if (size > sizeof(double) && left_-- == 0) {
      throw OutOfMemoryError("refused");
    }
    return inner_->allocate(size);
  }
  c10::DeleterFnPtr raw_deleter() const override {
    return inner_->raw_deleter();
  }
  void copy_data(void* target,
                 const void* source,
                 std::size_t size) const override {
    default_copy_data(target, source, size);
  }

 private:
  c10::Allocator* inner_;
  std::atomic<int64_t> left_{kNever};
};

RefusingAllocator& allocator() {
  static auto* instance = [] {
    memory::install_cpu_meter();
    auto* made = new RefusingAllocator(c10::GetCPUAllocator());
    c10::SetCPUAllocator(made, /*priority=*/2);
    return made;
  }();
  return *instance;
}

/// Tensors that `work` allocates.
template <class Work>
int64_t allocations_of(const Work& work) {
  allocator().refuse_after(kNever);
  work();
  const int64_t count = kNever - allocator().left();
  allocator().refuse_after(kNever);
  return count;
}

/// Whether `work` ran out of memory, its tensor number `count` being refused.
template <class Work>
bool fails_at(int64_t count, const Work& work) {
  allocator().refuse_after(count);
  bool failed = false;
  try {
    work();
  } catch (const OutOfMemoryError&) {
    failed = true;
  }
  allocator().refuse_after(kNever);
  return failed;
}

struct Bits {
  at::Tensor weights, first, second, average;
  int64_t step;

  explicit Bits(const FlatState& state)
      : weights(state.weights().clone()),
        first(state.first_moment().clone()),
        second(state.second_moment().clone()),
        average(state.average().defined() ? state.average().clone()
                                          : at::Tensor()),
        step(state.step) {}

  bool operator==(const Bits& other) const {
    return weights.equal(other.weights) && first.equal(other.first) &&
           second.equal(other.second) && step == other.step &&
           (!average.defined() || average.equal(other.average));
  }
};

/// One block of three layers, so that recomputation takes part.
RunSetup one_block() {
  RunSetup setup = toy_setup();
  setup.task.blocks.num_blocks = 1;
  setup.task.recompute = true;
  return setup;
}

TEST(MemoryRecoveryTest, ARefusedTensorAnywhereLeavesTheStateAsItWas) {
  allocator();
  const RunSetup setup = one_block();
  const tasks::LabelledBatch batch = drawn_batch(setup, 6);
  const StepOptions options{.optim = setup.optim, .total_steps = 12};
  const tasks::StepKey key{7, 0, 0};
  const auto calm = drawn_state(setup, 0);
  const int64_t forward =
      allocations_of([&] { calm->unit().loss(batch, key); });
  const int64_t all =
      allocations_of([&] { block_step(*calm, batch, key, options); });
  ASSERT_GT(forward, 10);
  ASSERT_GT(all, 2 * forward);  // the backward pass is hit too

  const auto shaken = drawn_state(setup, 0);
  const Bits before(shaken->owned());
  for (int64_t count = 0; count < all; ++count) {
    ASSERT_TRUE(
        fails_at(count, [&] { block_step(*shaken, batch, key, options); }))
        << count << " of " << all;
    ASSERT_EQ(Bits(shaken->owned()), before) << count << " of " << all;
  }
  EXPECT_FALSE(
      fails_at(all, [&] { block_step(*shaken, batch, key, options); }));
  EXPECT_EQ(Bits(shaken->owned()), Bits(calm->owned()));
}

TEST(MemoryRecoveryTest, TheOptimiserAllocatesNothingOrBeforeItWrites) {
  const auto state = drawn_state(one_block(), 0);
  FlatState& flat = state->owned();
  flat.gradient().fill_(0.5);
  EXPECT_EQ(allocations_of([&] { adamw_update(flat, {.step = 1}); }), 0);
  const auto composed = [&] { adamw_update_composed(flat, {.step = 2}); };
  const Bits before(flat);
  int64_t count = 0;
  while (fails_at(count, composed)) {
    ASSERT_EQ(Bits(flat), before) << "after " << count;
    ++count;
  }
  EXPECT_GT(count, 0);
  EXPECT_FALSE(Bits(flat) == before);
}

TEST(MemoryRecoveryTest, AStepThatDoesNotFitIsTakenInHalvesWithTheSameResult) {
  memory::install_cpu_meter();
  const RunSetup setup = one_block();
  const tasks::LabelledBatch batch = drawn_batch(setup, 64);
  StepOptions options{.optim = setup.optim, .total_steps = 12};
  const tasks::StepKey key{7, 0, 0};
  const auto whole = drawn_state(setup, 0);
  const int64_t state_bytes = memory::cpu_live_bytes();
  memory::reset_cpu_peak();
  const StepResult expected = block_step(*whole, batch, key, options);
  const int64_t activations = memory::cpu_peak_bytes() - state_bytes;

  const auto parts = drawn_state(setup, 0);
  memory::set_cpu_limit(memory::cpu_live_bytes() + activations * 4 / 10);
  const StepResult found = step_within_memory(*parts, batch, key, options);
  memory::set_cpu_limit(0);
  EXPECT_EQ(options.micro_batch, 16);
  EXPECT_NEAR(found.loss, expected.loss, 1e-6 * expected.loss);
  EXPECT_EQ(found.num_correct, expected.num_correct);
  EXPECT_LT(
      relative_distance(parts->owned().gradient(), whole->owned().gradient()),
      2e-6);
  EXPECT_EQ(parts->step(), 1);
}

TEST(MemoryRecoveryTest, WithoutRoomForOneSampleItExplains) {
  memory::install_cpu_meter();
  const RunSetup setup = one_block();
  const tasks::LabelledBatch batch = drawn_batch(setup, 16);
  StepOptions options{.optim = setup.optim, .total_steps = 12};
  const auto state = drawn_state(setup, 0);
  const Bits before(state->owned());
  memory::set_cpu_limit(memory::cpu_live_bytes() + 1000);
  try {
    step_within_memory(*state, batch, {7, 0, 0}, options);
    ADD_FAILURE() << "took the step";
  } catch (const OutOfMemoryError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("one sample at a time"), std::string::npos) << text;
    EXPECT_NE(text.find("train.recompute"), std::string::npos) << text;
  }
  memory::set_cpu_limit(0);
  EXPECT_EQ(Bits(state->owned()), before);
}

TEST(MemoryRecoveryTest, ARunGoesOnAndSaysSoOnce) {
  memory::install_cpu_meter();
  RunSetup setup = toy_setup();
  setup.loader.batch_size = 48;
  const StepMemory memory =
      measure_step_memory(setup, testing::toy_images()).front();
  const auto said = std::make_shared<std::ostringstream>();
  log().sinks().push_back(
      std::make_shared<spdlog::sinks::ostream_sink_mt>(*said));
  testing::TemporaryFolder folder;
  memory::set_cpu_limit(memory::cpu_live_bytes() + memory.state_bytes +
                        (memory.peak_bytes - memory.state_bytes) * 6 / 10);
  const TrainResult result = testing::train_toy(setup, folder.path());
  memory::set_cpu_limit(0);
  log().sinks().pop_back();
  EXPECT_EQ(result.steps, (std::vector<int64_t>{12, 12, 12}));
  const std::string text = said->str();
  const size_t first = text.find("out of memory in block 0, step 0");
  ASSERT_NE(first, std::string::npos) << text;
  EXPECT_EQ(text.find("out of memory", first + 1), std::string::npos) << text;
}

}  // namespace
}  // namespace dblocks::train
