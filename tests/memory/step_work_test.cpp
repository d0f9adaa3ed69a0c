// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/step_work.h"

#include <gtest/gtest.h>

namespace dblocks::memory {
namespace {

/// Two samples of 4 patches and a label token.
StepShape denoising_classifier() {
  return {.batch_size = 2,
          .tokens = 5,
          .patches = 4,
          .patch_numbers = 12,
          .width = 8,
          .heads = 2,
          .mlp_width = 16,
          .num_classes = 3,
          .condition_width = 6,
          .has_class_token = false};
}

// Every product by hand, as multiply-adds of a forward pass.
constexpr double kWholeLayer = 2 * 5 * 8 * 24             // q, k, v
                               + 2 * 2 * 5 * 4 * 5        // scores
                               + 2 * 2 * 5 * 5 * 4        // mix
                               + 2 * 5 * 8 * 8            // output
                               + 2 * 5 * 2 * 8 * 16       // MLP
                               + 2 * 6 * 48;              // modulation
constexpr double kLastLayer = 2 * 8 * 8 + 2 * 5 * 8 * 16  // q; k, v
                              + 2 * 2 * 4 * 5             // scores
                              + 2 * 2 * 5 * 4             // mix
                              + 2 * 8 * 8                 // output
                              + 2 * 2 * 8 * 16            // MLP
                              + 2 * 6 * 48;               // modulation
constexpr double kPatches = 2 * 4 * 12 * 8;
constexpr double kSinusoids = 2 * 256 * 6;
constexpr double kOuter = 2 * 6 * 6 + 2 * 6 * 16 + 2 * 8 * 3;

TEST(StepWorkTest, CountsTheProductsOfABlockAsByHand) {
  const StepWork work = work_of(denoising_classifier(), {.num_layers = 3});
  const double layers = 2 * kWholeLayer + kLastLayer;
  EXPECT_EQ(work.forward_flops(),
            2 * (layers + kPatches + kSinusoids + kOuter));
  // Images and sinusoids need no derivative.
  EXPECT_EQ(work.useful_flops(),
            2 * (3 * layers + 2 * kPatches + 2 * kSinusoids + 3 * kOuter));
  EXPECT_EQ(work.hardware_flops(), work.useful_flops());
}

TEST(StepWorkTest, RecomputationRunsAllLayersButTheLastOnceMore) {
  StepShape shape = denoising_classifier();
  const StepWork plain = work_of(shape, {.num_layers = 3});
  shape.recompute = true;
  const StepWork again = work_of(shape, {.num_layers = 3});
  EXPECT_EQ(again.useful_flops(), plain.useful_flops());
  EXPECT_EQ(again.hardware_flops() - plain.hardware_flops(),
            2 * 2 * kWholeLayer);
  EXPECT_GT(again.pass_bytes, plain.pass_bytes);
}

TEST(StepWorkTest, AGreedyStageRunsEarlierOnesForwardOnly) {
  StepShape shape = denoising_classifier();
  shape.condition_width = 0;
  const double modulation = 2 * 6 * 48;
  const StepWork own = work_of(shape, {.num_layers = 2, .has_stem = false});
  const StepWork after =
      work_of(shape, {.num_layers = 2, .has_stem = false, .before = {2}});
  EXPECT_EQ(after.useful_flops() - own.useful_flops(),
            2 * (2 * (kWholeLayer - modulation) + kPatches));
}

TEST(StepWorkTest, AnImageGeneratorComputesAllTokensOfAllLayers) {
  StepShape shape = denoising_classifier();
  shape.generates_images = true;
  shape.tokens = 4;
  shape.condition_width = 8;
  const double layer = 2 * 4 * 8 * 24 + 2 * 2 * (2 * 4 * 4 * 4) +
                       2 * 4 * 8 * 8 + 2 * 4 * 2 * 8 * 16 + 2 * 8 * 48;
  const double outer =
      kPatches + 2 * 256 * 8 + 2 * 8 * 8 + 2 * 8 * 16 + 2 * 4 * 8 * 12;
  EXPECT_EQ(work_of(shape, {.num_layers = 3}).forward_flops(),
            2 * (3 * layer + outer));
}

TEST(StepWorkTest, OptimizerTrafficFollowsTheMoments) {
  StepShape shape = denoising_classifier();
  const StepWork fp32 = work_of(shape, {.num_layers = 3});
  const auto parameters =
      static_cast<double>(plan_unit(shape, {.num_layers = 3}).num_parameters);
  // Zeroed, its norm taken; then w, g, m, v read and w, m, v written.
  EXPECT_EQ(fp32.optimizer_bytes, (4 + 4 + 7 * 4) * parameters);
  shape.format.moments = MomentFormat::kInt8;
  const StepWork int8 = work_of(shape, {.num_layers = 3});
  // Two codes of a byte each way, and two scales for 256 parameters.
  EXPECT_EQ(int8.optimizer_bytes,
            (4 + 4 + 3 * 4 + 4 + 4 * 4.0 / 256) * parameters);
  // Weights are read and written again, and written in two bytes.
  shape.format = {.weights = WeightFormat::kBf16};
  const StepWork bf16 = work_of(shape, {.num_layers = 3});
  EXPECT_EQ(bf16.optimizer_bytes, fp32.optimizer_bytes + 10 * parameters);
}

TEST(RooflineTest, TheSlowerBoundDecides) {
  const StepWork work{.products = {{.rows = 10, .inner = 10, .columns = 10}},
                      .pass_bytes = 900,
                      .optimizer_bytes = 100};
  MachineRates rates{.matmul_flops = 1000,
                     .memory_bytes = 500,
                     .state_in_bytes = 30,
                     .state_out_bytes = 20};
  Roofline roofline = roofline_of(work, 60, rates);
  EXPECT_EQ(roofline.matmul_seconds, 6);
  EXPECT_EQ(roofline.memory_seconds, 2);
  EXPECT_EQ(roofline.move_seconds, 2 + 3);
  EXPECT_TRUE(roofline.is_matmul_bound());
  EXPECT_EQ(roofline.seconds(), 6);
  EXPECT_EQ(roofline.steps_to_hide(10), 0.5);
  rates.memory_bytes = 100;
  rates.state_in_bytes = 0;
  roofline = roofline_of(work, 60, rates);
  EXPECT_FALSE(roofline.is_matmul_bound());
  EXPECT_EQ(roofline.seconds(), 10);
  EXPECT_EQ(roofline.move_seconds, 0);
}

}  // namespace
}  // namespace dblocks::memory
