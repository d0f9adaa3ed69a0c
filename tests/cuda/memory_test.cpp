// SPDX-License-Identifier: Apache-2.0
// A device that is full: the memory runs out in whichever part of a step is the
// first not to fit.
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <vector>

#include "dblocks/memory/device_memory.h"
#include "dblocks/nn/init.h"
#include "dblocks/train/memory_recovery.h"
#include "tests/cuda/device.h"
#include "tests/train/small_step.h"
#include "tests/train/toy_run.h"

namespace dblocks::train {
namespace {

constexpr int64_t kLargeBatch = 1 << 14;
constexpr int64_t kMiB = 1 << 20;

class CudaMemoryTest : public dblocks::testing::CudaTest {
 protected:
  /// Tensors that leave no piece of `piece_bytes` on the device.
  std::vector<at::Tensor> fill(int64_t piece_bytes) const {
    std::vector<at::Tensor> pieces;
    for (int64_t bytes = 1024 * kMiB; bytes >= piece_bytes;) {
      try {
        pieces.push_back(
            at::empty({bytes}, at::TensorOptions(at::kByte).device(cuda_)));
      } catch (const c10::OutOfMemoryError&) {
        bytes /= 2;
      }
    }
    return pieces;
  }
};

TEST_F(CudaMemoryTest, AFullDeviceIsMetWithSmallerMicroBatches) {
  RunSetup setup = testing::toy_setup();
  setup.task.shape.options.dropout = 0;
  setup.task.shape.options.width = 240;
  setup.task.shape.options.mlp_width = 960;
  const StepOptions plain{.optim = setup.optim, .total_steps = 1000};
  const tasks::LabelledBatch drawn = testing::drawn_batch(setup, kLargeBatch);
  const tasks::LabelledBatch batch{drawn.images.to(cuda_),
                                   drawn.labels.to(cuda_)};
  const tasks::StepKey key{7, 0, 0};

  const auto expected = testing::drawn_state(setup, 0, cuda_);
  StepOptions options = plain;
  const double loss = step_within_memory(*expected, batch, key, options).loss;
  ASSERT_EQ(options.micro_batch, 0);
  const int64_t needed = memory::device_peak_bytes(cuda_);

  constexpr int kNumRooms = 12;
  std::vector<std::unique_ptr<UnitState>> states;
  states.reserve(kNumRooms);
  for (int i = 0; i < kNumRooms; ++i) {
    states.push_back(testing::drawn_state(setup, 0, cuda_));
  }
  int64_t num_split = 0, num_whole = 0;
  for (int i = 0; i < kNumRooms; ++i) {
    const int64_t room = needed * (i + 1) / (kNumRooms - 4);
    at::Tensor kept =
        at::empty({room}, at::TensorOptions(at::kByte).device(cuda_));
    std::vector<at::Tensor> pieces = fill(2 * kMiB);
    kept.reset();
    options = plain;
    const StepResult found =
        step_within_memory(*states[i], batch, key, options);
    pieces.clear();
    SCOPED_TRACE(::testing::Message()
                 << room / kMiB << " MiB of " << needed / kMiB
                 << ", micro-batch " << options.micro_batch);
    ++(options.micro_batch > 0 ? num_split : num_whole);
    EXPECT_NEAR(found.loss, loss, 1e-4 * loss);
    EXPECT_EQ(states[i]->step(), 1);
    EXPECT_LT(testing::relative_distance(states[i]->owned().weights(),
                                         expected->owned().weights()),
              1e-3);
  }
  EXPECT_GT(num_split, 2);
  EXPECT_GT(num_whole, 0);
}

TEST_F(CudaMemoryTest, ADeviceWithoutRoomForOneSampleSaysSo) {
  const RunSetup setup = testing::toy_setup();
  const auto state = testing::drawn_state(setup, 0, cuda_);
  const tasks::LabelledBatch drawn = testing::drawn_batch(setup, 16);
  const tasks::LabelledBatch batch{drawn.images.to(cuda_),
                                   drawn.labels.to(cuda_)};
  const at::Tensor before = state->owned().weights().clone();
  {
    const std::vector<at::Tensor> pieces = fill(1);
    StepOptions options{.optim = setup.optim, .total_steps = 1000};
    EXPECT_THROW(step_within_memory(*state, batch, {7, 0, 0}, options),
                 OutOfMemoryError);
  }
  EXPECT_EQ(state->step(), 0);
  EXPECT_TRUE(state->owned().weights().equal(before));
}

TEST_F(CudaMemoryTest, APlaceholderMovesWithoutItsElements) {
  at::Tensor placeholder;
  {
    const nn::PlaceholderGuard guard;
    placeholder = nn::initial_zeros({1000, 1000});
  }
  nn::move_placeholder(placeholder, cuda_);
  EXPECT_TRUE(placeholder.is_cuda());
  EXPECT_EQ(placeholder.sizes(), at::IntArrayRef({1000, 1000}));
  EXPECT_EQ(placeholder.storage().nbytes(), sizeof(float));
}

}  // namespace
}  // namespace dblocks::train
