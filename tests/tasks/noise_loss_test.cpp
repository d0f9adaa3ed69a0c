// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/noise_loss.h"

#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "dblocks/tasks/generation_task.h"

namespace dblocks::tasks {
namespace {

using ::testing::ElementsAre;

constexpr double kSigmaData = 0.5;

TaskOptions options_of(Method method = Method::kDiffusionBlocks) {
  TaskOptions options{.kind = TaskKind::kImageGeneration, .method = method};
  options.dit = {.options = {.size = models::DitSize::kCustom,
                             .num_layers = 3,
                             .width = 32,
                             .heads = 4,
                             .patch = 2},
                 .channels = 1,
                 .rows = 8,
                 .columns = 8,
                 .num_classes = 3};
  options.noise.sigma_data = kSigmaData;
  return options;
}

/// Fresh units: their head is zero, so that D(z) = c_skip z.
UnitLoader fresh(const Task& task, std::vector<int64_t>* loaded = nullptr) {
  return [&task, loaded](int64_t unit) {
    if (loaded != nullptr) {
      loaded->push_back(unit);
    }
    return task.make_unit(unit);
  };
}

LabelledBatch batch_of(const at::Tensor& images) {
  return {images, at::randint(3, {images.size(0)}, at::kLong)};
}

TEST(NoiseLossTest, LevelsSpanTheAxisEvenlyInLogSigma) {
  const GenerationTask task(options_of());
  const std::vector<double> levels = noise_levels(task.partition(), 5);
  ASSERT_EQ(levels.size(), 5u);
  EXPECT_EQ(levels.front(), 0.002);
  EXPECT_EQ(levels.back(), 80);
  EXPECT_NEAR(levels[2], std::sqrt(0.002 * 80), 1e-12);
  EXPECT_NEAR(levels[1] / levels[0], levels[3] / levels[2], 1e-9);
}

TEST(NoiseLossTest, OfBlackImagesIsThatOfTheSkipConnectionAlone) {
  const GenerationTask task(options_of());
  const auto found =
      noise_losses(task, fresh(task), batch_of(at::zeros({600, 1, 8, 8})),
                   noise_levels(task.partition(), 9), 1);
  // ((0 - c_skip sigma epsilon) / c_out)^2 with epsilon of variance 1.
  const double square = found[0].loss / (0.25 / (0.25 + 0.002 * 0.002));
  EXPECT_NEAR(square, 1, 4 * std::sqrt(2.0 / (600 * 64)));
  for (const NoiseLoss& level : found) {
    const double share = 0.25 / (0.25 + level.sigma * level.sigma);
    EXPECT_NEAR(level.loss, square * share, 1e-5 * share) << level.sigma;
  }
}

TEST(NoiseLossTest, OfImagesWithTheDataSpreadIsOneAtEveryLevel) {
  const GenerationTask task(options_of());
  at::manual_seed(3);
  const auto images = batch_of(at::randn({600, 1, 8, 8}) * kSigmaData);
  for (const NoiseLoss& level : noise_losses(
           task, fresh(task), images, noise_levels(task.partition(), 6), 2)) {
    EXPECT_NEAR(level.loss, 1, 0.04) << level.sigma;
  }
}

TEST(NoiseLossTest, EachLevelIsAskedOfTheBlockThatOwnsIt) {
  const GenerationTask task(options_of());
  const auto at_bias = [&](int64_t index) {
    std::unique_ptr<Unit> unit = task.make_unit(index);
    const c10::NoGradGuard no_grad;
    for (const auto& item : unit->network().named_parameters()) {
      if (item.key() == "head.bias") {
        at::Tensor(item.value()).fill_(static_cast<double>(index + 1));
      }
    }
    return unit;
  };
  std::vector<int64_t> loaded;
  const std::vector<double>& ends = task.partition().boundaries();
  const std::vector<double> sigmas = {ends[0], ends[1], ends[1] * 1.01,
                                      ends[2] * 1.01, ends[3]};
  const LabelledBatch images = batch_of(at::zeros({50, 1, 8, 8}));
  const auto plain =
      noise_losses(task, fresh(task, &loaded), images, sigmas, 1);
  const auto biased = noise_losses(task, at_bias, images, sigmas, 1);
  EXPECT_THAT(loaded, ElementsAre(0, 1, 2));
  const std::vector<int64_t> owners = {2, 2, 1, 0, 0};
  for (size_t i = 0; i < sigmas.size(); ++i) {
    EXPECT_EQ(plain[i].unit, owners[i]);
    // (b + x)^2 - x^2 with x of mean zero.
    const double bias = static_cast<double>(owners[i] + 1);
    EXPECT_NEAR(biased[i].loss - plain[i].loss, bias * bias, 0.2) << i;
  }
}

TEST(NoiseLossTest, MethodsAreAskedWithTheSameNoise) {
  const GenerationTask blocks(options_of());
  const GenerationTask whole(options_of(Method::kEndToEnd));
  const LabelledBatch images = batch_of(at::zeros({40, 1, 8, 8}));
  const std::vector<double> sigmas = noise_levels(blocks.partition(), 4);
  const auto one = noise_losses(blocks, fresh(blocks), images, sigmas, 7);
  const auto other = noise_losses(whole, fresh(whole), images, sigmas, 7);
  const auto seed = noise_losses(whole, fresh(whole), images, sigmas, 8);
  for (size_t i = 0; i < sigmas.size(); ++i) {
    EXPECT_FLOAT_EQ(static_cast<float>(one[i].loss),
                    static_cast<float>(other[i].loss));
    EXPECT_NE(other[i].loss, seed[i].loss);
    EXPECT_EQ(other[i].unit, 0);
  }
}

}  // namespace
}  // namespace dblocks::tasks
