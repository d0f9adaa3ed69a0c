// SPDX-License-Identifier: Apache-2.0
// Only the unit that trains is in memory.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>

#include "dblocks/memory/meter.h"
#include "dblocks/train/memory_probe.h"
#include "dblocks/train/unit_state.h"
#include "tests/train/toy_run.h"

namespace dblocks::train {
namespace {

using testing::TemporaryFolder;
using testing::toy_setup;

/// Live tensor bytes after every step of a run, without the loaders' batches
/// (these are no tensors).
std::set<int64_t> live_bytes(const RunSetup& setup) {
  TemporaryFolder folder;
  const data::Dataset images = testing::toy_images();
  const int64_t before = memory::cpu_live_bytes();
  std::set<int64_t> seen;
  Trainer trainer(setup, images, RunFolder(folder.path()),
                  {.on_progress = [&](const report::Progress&) {
                    seen.insert(memory::cpu_live_bytes() - before);
                  }});
  trainer.run();
  EXPECT_EQ(memory::cpu_live_bytes(), before) << "something stayed behind";
  return seen;
}

RunSetup with_layers(int64_t num_layers, int64_t num_blocks) {
  RunSetup setup = toy_setup();
  setup.train.schedule = TrainingSchedule::kAlternating;
  setup.train.steps = 4;
  setup.task.shape.options.num_layers = num_layers;
  setup.task.blocks.num_blocks = num_blocks;
  return setup;
}

TEST(ResidencyTest, NoTensorOfAnIdleBlockIsAlive) {
  memory::install_cpu_meter();
  // One layer a block: what is alive must not depend on how many blocks there
  // are, though every one of them has trained and will train again.
  const std::set<int64_t> three = live_bytes(with_layers(3, 3));
  const std::set<int64_t> six = live_bytes(with_layers(6, 6));
  ASSERT_FALSE(three.empty());
  EXPECT_EQ(*three.rbegin(), *six.rbegin());
  EXPECT_EQ(*three.begin(), *three.rbegin()) << "grows from step to step";
}

TEST(ResidencyTest, ResidentStateIsWeightsGradientMomentsAndAverageOfOneBlock) {
  memory::install_cpu_meter();
  const std::set<int64_t> seen = live_bytes(with_layers(3, 3));
  const data::Dataset images = testing::toy_images();
  const StepMemory block =
      measure_step_memory(with_layers(3, 3), images).front();
  const int64_t five_buffers = block.num_parameters * 4 * 5;
  EXPECT_GE(*seen.rbegin(), five_buffers);
  // Alignment, the frozen table and its saved copy are all there is besides.
  EXPECT_LE(*seen.rbegin(), five_buffers * 1.1);
}

TEST(ResidencyTest, EightBitMomentsBringSixteenBytesAWeightToTen) {
  memory::install_cpu_meter();
  RunSetup setup = with_layers(2, 1);
  setup.task.method = tasks::Method::kEndToEnd;
  setup.task.shape.options.width = 256;
  setup.task.shape.options.mlp_width = 512;
  setup.optim.ema_decay = 0;
  const data::Dataset images = testing::toy_images();
  const auto bytes_a_weight = [&](MomentFormat moments) {
    setup.optim.moments = moments;
    const StepMemory unit = measure_step_memory(setup, images).front();
    return static_cast<double>(unit.state_bytes) /
           static_cast<double>(unit.num_parameters);
  };
  EXPECT_NEAR(bytes_a_weight(MomentFormat::kFp32), 16, 0.01);
  // 4 for weight and gradient, 1 and 4 / 256 for each moment.
  EXPECT_NEAR(bytes_a_weight(MomentFormat::kInt8), 10.03, 0.03);
}

TEST(ResidencyTest, AnIdleBlockInBf16WithEightBitMomentsTakesFourBytesAWeight) {
  RunSetup setup = with_layers(2, 1);
  setup.task.shape.options.width = 256;
  setup.task.shape.options.mlp_width = 512;
  setup.optim.ema_decay = 0;
  setup.optim.weights = WeightFormat::kBf16;
  setup.optim.moments = MomentFormat::kInt8;
  const std::unique_ptr<tasks::Task> task = tasks::make_task(setup.task);
  const std::unique_ptr<tasks::Unit> unit = task->make_unit(0);
  int64_t parameters = 0;
  for (const NamedParameter& p : parameters_of(
           *unit, blocks::Ownership::kPerBlock, setup.optim.weight_decay_on)) {
    parameters += p.tensor.numel();
  }
  // 2 for the weight, 1 and 4 / 256 for each moment; padding of vectors.
  EXPECT_NEAR(static_cast<double>(storage_bytes(*unit, setup.optim)) /
                  static_cast<double>(parameters),
              4.03, 0.03);
}

TEST(ResidencyTest, ResumingTakesNoMoreMemoryThanTraining) {
  memory::install_cpu_meter();
  RunSetup setup = with_layers(3, 3);
  setup.train.schedule = TrainingSchedule::kSequential;
  // Small batches of a wide network: the state is nearly all there is.
  setup.loader.batch_size = 2;
  setup.task.shape.options.width = 96;
  setup.task.shape.options.mlp_width = 384;
  const data::Dataset images = testing::toy_images();
  TemporaryFolder folder;
  std::atomic<bool> stop{false};
  const auto peak_of_session = [&](bool from_first_step, int64_t steps) {
    int64_t taken = 0, peak = 0;
    stop = false;
    memory::release_kept_memory();
    const int64_t before = memory::cpu_live_bytes();
    memory::reset_cpu_peak();
    Trainer trainer(setup, images, RunFolder(folder.path()),
                    {.stop = &stop, .on_progress = [&](const auto&) {
                       if (++taken == 1 && !from_first_step) {
                         memory::reset_cpu_peak();
                       }
                       peak = memory::cpu_peak_bytes() - before;
                       stop = taken == steps;
                     }});
    trainer.run();
    return peak;
  };
  const int64_t training = peak_of_session(false, 2);
  const int64_t resuming = peak_of_session(true, 1);
  EXPECT_LE(static_cast<double>(resuming),
            1.02 * static_cast<double>(training));
}

TEST(ResidencyTest, TheBlockStepPeaksFarBelowTheEndToEndStep) {
  memory::install_cpu_meter();
  RunSetup setup = with_layers(6, 3);
  const data::Dataset images = testing::toy_images();
  const auto peak = [&] {
    int64_t largest = 0;
    for (const StepMemory& m : measure_step_memory(setup, images)) {
      largest = std::max(largest, m.peak_bytes);
    }
    return largest;
  };
  const int64_t blocks = peak();
  setup.task.method = tasks::Method::kEndToEnd;
  EXPECT_LT(static_cast<double>(blocks), 0.6 * static_cast<double>(peak()));
}

}  // namespace
}  // namespace dblocks::train
