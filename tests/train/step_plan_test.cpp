// SPDX-License-Identifier: Apache-2.0
// The plan of a step against what a step takes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "dblocks/memory/meter.h"
#include "dblocks/train/memory_choice.h"
#include "dblocks/train/memory_probe.h"
#include "dblocks/train/step_plan.h"
#include "tests/train/toy_run.h"

namespace dblocks::train {
namespace {

/// 128 colour images of 16 x 16 pixels in 20 classes; what they show does not
/// matter here.
data::Dataset plain_images() {
  data::DatasetInfo info{.name = "plain",
                         .channels = 3,
                         .rows = 16,
                         .columns = 16,
                         .mean = {0.5, 0.5, 0.5},
                         .std = {0.25, 0.25, 0.25}};
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < 128; ++i) {
    labels.push_back(i % 20);
  }
  for (int64_t i = 0; i < 20; ++i) {
    info.class_names.push_back(std::to_string(i));
  }
  return data::Dataset(info, labels, std::vector<uint8_t>(128 * 3 * 256, 90));
}

RunSetup base_setup() {
  RunSetup setup;
  setup.task.shape = {.options = {.num_layers = 6,
                                  .width = 48,
                                  .heads = 4,
                                  .mlp_width = 192,
                                  .patch = 4},
                      .channels = 3,
                      .rows = 16,
                      .columns = 16,
                      .num_classes = 20};
  setup.task.seed = 3;
  setup.loader = {.batch_size = 16, .workers = 0, .seed = 3};
  return setup;
}

struct Case {
  std::string name;
  std::function<void(RunSetup&)> change;
};

void share_parts(RunSetup& setup) {
  setup.task.blocks.ownership = testing::shared_setup().task.blocks.ownership;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"base", [](RunSetup&) {}},
      {"batch 4", [](RunSetup& s) { s.loader.batch_size = 4; }},
      {"batch 64, B 6",
       [](RunSetup& s) {
         s.loader.batch_size = 64;
         s.task.blocks.num_blocks = 6;
       }},
      {"width 96, B 2",
       [](RunSetup& s) {
         s.task.shape.options.width = 96;
         s.task.shape.options.mlp_width = 384;
         s.task.blocks.num_blocks = 2;
       }},
      {"bf16", [](RunSetup& s) { s.task.shape.compute = at::kBFloat16; }},
      {"bf16, batch 4, width 96",
       [](RunSetup& s) {
         s.task.shape.compute = at::kBFloat16;
         s.task.shape.options.width = 96;
         s.task.shape.options.mlp_width = 384;
         s.loader.batch_size = 4;
       }},
      {"replace, published",
       [](RunSetup& s) {
         s.task.shape.options.label_input =
             models::LabelInput::kReplaceClassToken;
         s.task.shape.options.modulation = models::Modulation::kPublished;
       }},
      {"dropout", [](RunSetup& s) { s.task.shape.options.dropout = 0.1; }},
      {"dropout, bf16, patch 2",
       [](RunSetup& s) {
         s.task.shape.options.dropout = 0.1;
         s.task.shape.options.patch = 2;
         s.task.shape.compute = at::kBFloat16;
       }},
      {"shared parts, batch 4",
       [](RunSetup& s) {
         share_parts(s);
         s.loader.batch_size = 4;
       }},
      {"average, own table, uneven blocks",
       [](RunSetup& s) {
         s.optim.ema_decay = 0.9;
         s.task.blocks.ownership.target_table = blocks::Ownership::kPerBlock;
         s.task.blocks.layers_per_block = {1, 2, 3};
       }},
      {"end to end",
       [](RunSetup& s) { s.task.method = tasks::Method::kEndToEnd; }},
      {"ensemble",
       [](RunSetup& s) { s.task.method = tasks::Method::kEnsemble; }},
      {"greedy", [](RunSetup& s) { s.task.method = tasks::Method::kGreedy; }},
      {"greedy, dropout, batch 4",
       [](RunSetup& s) {
         s.task.method = tasks::Method::kGreedy;
         s.task.shape.options.dropout = 0.1;
         s.loader.batch_size = 4;
       }},
      {"recomputed, B 1",
       [](RunSetup& s) {
         s.task.blocks.num_blocks = 1;
         s.task.recompute = true;
       }},
      {"recomputed, B 1, batch 64",
       [](RunSetup& s) {
         s.task.blocks.num_blocks = 1;
         s.task.recompute = true;
         s.loader.batch_size = 64;
       }},
      {"recomputed, B 2, dropout, bf16",
       [](RunSetup& s) {
         s.task.blocks.num_blocks = 2;
         s.task.recompute = true;
         s.task.shape.options.dropout = 0.1;
         s.task.shape.compute = at::kBFloat16;
       }},
      {"recomputed, end to end",
       [](RunSetup& s) {
         s.task.method = tasks::Method::kEndToEnd;
         s.task.recompute = true;
       }},
      {"micro-batches of 5 in 64",
       [](RunSetup& s) {
         s.loader.batch_size = 64;
         s.train.micro_batch = 5;
       }},
      {"recomputed micro-batches, dropout",
       [](RunSetup& s) {
         s.task.blocks.num_blocks = 1;
         s.loader.batch_size = 64;
         s.train.micro_batch = 16;
         s.task.recompute = true;
         s.task.shape.options.dropout = 0.1;
       }},
      {"8-bit moments",
       [](RunSetup& s) { s.optim.moments = MomentFormat::kInt8; }},
      {"8-bit moments, shared parts, width 96",
       [](RunSetup& s) {
         share_parts(s);
         s.optim.moments = MomentFormat::kInt8;
         s.task.shape.options.width = 96;
         s.task.shape.options.mlp_width = 384;
       }},
  };
  return all;
}

TEST(StepPlanTest, PredictsThePeakOfEveryUnitWithinTenPercent) {
  memory::install_cpu_meter();
  const data::Dataset images = plain_images();
  std::printf("%-36s %5s %12s %12s %8s\n", "configuration", "block",
              "predicted", "measured", "error");
  for (const Case& c : cases()) {
    RunSetup setup = base_setup();
    c.change(setup);
    const std::vector<memory::UnitPlan> plans = plan_steps(setup);
    const std::vector<StepMemory> measured = measure_step_memory(setup, images);
    ASSERT_EQ(plans.size(), measured.size());
    for (size_t i = 0; i < plans.size(); ++i) {
      const double error = static_cast<double>(plans[i].peak_bytes) /
                               static_cast<double>(measured[i].peak_bytes) -
                           1;
      std::printf("%-36s %5zu %12lld %12lld %+7.1f %%\n", c.name.c_str(), i,
                  static_cast<long long>(plans[i].peak_bytes),
                  static_cast<long long>(measured[i].peak_bytes), 100 * error);
      EXPECT_LE(std::abs(error), 0.10) << c.name << ", unit " << i;
      EXPECT_EQ(plans[i].num_parameters, measured[i].num_parameters) << c.name;
    }
  }
}

TEST(StepPlanTest, PartsOfAPlanAddUpToItsPeak) {
  for (const memory::UnitPlan& p : plan_steps(base_setup())) {
    EXPECT_EQ(
        p.state_bytes() + p.activation_bytes + p.head_bytes + p.buffer_bytes,
        p.peak_bytes);
    EXPECT_EQ(p.moments_bytes, 2 * p.weights_bytes);
    EXPECT_GT(p.buffer_bytes, 0);
  }
}

TEST(MemoryChoiceTest, ARunThatFitsIsLeftAlone) {
  const auto tried = settings_for_memory(base_setup(), int64_t{1} << 40);
  ASSERT_EQ(tried.size(), 1U);
  EXPECT_FALSE(tried[0].recompute);
  EXPECT_EQ(tried[0].micro_batch, 0);
  EXPECT_EQ(tried[0].moments, MomentFormat::kFp32);
}

TEST(MemoryChoiceTest, TheCheapestSettingsThatFitComeLast) {
  RunSetup setup = base_setup();
  setup.task.blocks.num_blocks = 1;
  setup.loader.batch_size = 64;
  const int64_t whole =
      settings_for_memory(setup, int64_t{1} << 40).front().peak_bytes;
  for (const double share : {0.9, 0.6, 0.45, 0.35}) {
    const auto limit = static_cast<int64_t>(static_cast<double>(whole) * share);
    const auto tried = settings_for_memory(setup, limit);
    ASSERT_GT(tried.size(), 1U);
    EXPECT_LE(tried.back().peak_bytes, limit) << share;
    for (size_t i = 0; i + 1 < tried.size(); ++i) {
      EXPECT_GT(tried[i].peak_bytes, limit);
      if (tried[i].moments == tried[i + 1].moments) {
        EXPECT_LE(tried[i].relative_time, tried[i + 1].relative_time);
      }
    }
    // What was chosen is what the planner says of a run with those settings.
    int64_t peak = 0;
    for (const memory::UnitPlan& p :
         plan_steps(with_settings(setup, tried.back()))) {
      peak = std::max(peak, p.peak_bytes);
    }
    EXPECT_EQ(peak, tried.back().peak_bytes);
  }
}

TEST(MemoryChoiceTest, EightBitMomentsAreTheLastResort) {
  const auto tried = settings_for_memory(base_setup(), 1000);
  EXPECT_GT(tried.back().peak_bytes, 1000);
  EXPECT_EQ(tried.back().moments, MomentFormat::kInt8);
  const auto first_int8 =
      std::ranges::find(tried, MomentFormat::kInt8, &MemorySettings::moments);
  EXPECT_TRUE(std::all_of(first_int8, tried.end(), [](const auto& s) {
    return s.moments == MomentFormat::kInt8;
  }));
  EXPECT_GT(first_int8 - tried.begin(), 1);
}

TEST(StepPlanTest, LargestBatchFitsAndOneMoreDoesNot) {
  RunSetup setup = base_setup();
  memory::StepShape shape = step_shape(setup);
  const memory::UnitShape unit = unit_shapes(setup).front();
  constexpr int64_t kLimit = 64 << 20;
  const int64_t batch = memory::largest_batch(shape, unit, kLimit);
  ASSERT_GT(batch, 1);
  shape.batch_size = batch;
  EXPECT_LE(memory::plan_unit(shape, unit).peak_bytes, kLimit);
  shape.batch_size = batch + 1;
  EXPECT_GT(memory::plan_unit(shape, unit).peak_bytes, kLimit);
  EXPECT_EQ(memory::largest_batch(shape, unit, 1000), 0);
}

}  // namespace
}  // namespace dblocks::train
