// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/image_sampler.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/tasks/generation_task.h"
#include "dblocks/tasks/image_denoising_unit.h"

namespace dblocks::tasks {
namespace {

using ::testing::ElementsAre;

TaskOptions task_options() {
  TaskOptions options{.kind = TaskKind::kImageGeneration};
  options.dit = {.options = {.size = models::DitSize::kCustom,
                             .num_layers = 3,
                             .width = 32,
                             .heads = 4,
                             .patch = 2},
                 .channels = 2,
                 .rows = 8,
                 .columns = 8,
                 .num_classes = 3};
  return options;
}

/// Units with every weight redrawn, the same each time.
UnitLoader loader(const Task& task, std::vector<int64_t>* loaded = nullptr) {
  return [&task, loaded](int64_t index) {
    if (loaded != nullptr) {
      loaded->push_back(index);
    }
    std::unique_ptr<Unit> unit = task.make_unit(index);
    at::manual_seed(static_cast<uint64_t>(100 + index));
    c10::NoGradGuard no_grad;
    for (const at::Tensor& p : unit->network().parameters()) {
      at::Tensor(p).copy_(at::randn(p.sizes()) * 0.15);
    }
    return unit;
  };
}

SamplingOptions few_steps() {
  return {.steps = 7, .guidance = 1.5};
}

at::Tensor sample(const SamplingOptions& options,
                  std::vector<int64_t> labels,
                  int64_t first = 0,
                  uint64_t seed = 4) {
  const GenerationTask task(task_options());
  return sample_images(
      task, loader(task), options,
      {.labels = std::move(labels), .first = first, .seed = seed});
}

std::vector<int64_t> some_labels(int64_t count, int64_t first = 0) {
  std::vector<int64_t> labels;
  for (int64_t i = first; i < first + count; ++i) {
    labels.push_back(i % 3);
  }
  return labels;
}

TEST(ImageSamplerTest, AnImageIsTheSameInAnyCompany) {
  SamplingOptions options = few_steps();
  options.churn = 3;
  options.solver = Solver::kHeun;
  const at::Tensor many = sample(options, some_labels(37));
  ASSERT_EQ(many.sizes(), (std::vector<int64_t>{37, 2, 8, 8}));
  for (const auto& [first, count] : {std::pair(0, 1), std::pair(0, 16),
                                     std::pair(5, 20), std::pair(36, 1)}) {
    EXPECT_TRUE(at::equal(sample(options, some_labels(count, first), first),
                          many.narrow(0, first, count)))
        << first << " " << count;
  }
  EXPECT_FALSE(at::equal(sample(options, some_labels(1), 0, 5), many[0]));
}

TEST(ImageSamplerTest, ThreadsChangeNoBit) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = sample(few_steps(), some_labels(16));
  at::set_num_threads(2);
  const at::Tensor two = sample(few_steps(), some_labels(16));
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(one, two));
}

TEST(ImageSamplerTest, EveryCalledBlockIsLoadedOnceFirstLayersFirst) {
  const GenerationTask task(task_options());
  std::vector<int64_t> loaded;
  double share = 0;
  sample_images(task, loader(task, &loaded), few_steps(),
                {.labels = some_labels(40)}, [&](double s) {
                  EXPECT_GT(s, share);
                  share = s;
                });
  EXPECT_THAT(loaded, ElementsAre(0, 1, 2));
  EXPECT_DOUBLE_EQ(share, 1);
  loaded.clear();
  SamplingOptions two = few_steps();
  two.steps = 2;  // sigma_max and sigma_min
  sample_images(task, loader(task, &loaded), two, {.labels = some_labels(2)});
  EXPECT_THAT(loaded, ElementsAre(0, 2));
  EXPECT_THAT(uncalled_blocks(sampling_schedule(task, two), 3), ElementsAre(1));
}

/// One Euler step from sigma_max to zero gives D itself.
at::Tensor one_step(double guidance, int64_t channels = 0) {
  SamplingOptions options{.steps = 1, .guidance = guidance};
  options.guidance_channels = channels;
  return sample(options, some_labels(4));
}

TEST(ImageSamplerTest, GuidanceIsLinearInItsScale) {
  const at::Tensor labelled = one_step(1), none = one_step(0),
                   guided = one_step(3);
  EXPECT_GT((labelled - none).abs().max().item<float>(), 1e-4);
  EXPECT_LT((guided - (none + 3 * (labelled - none))).abs().max().item<float>(),
            1e-5);
}

TEST(ImageSamplerTest, GuidanceMayBeLimitedToTheFirstChannelsOrToAnInterval) {
  const at::Tensor labelled = one_step(1), guided = one_step(3);
  const at::Tensor first = one_step(3, 1);
  EXPECT_TRUE(at::equal(first.select(1, 0), guided.select(1, 0)));
  EXPECT_LT(
      (first.select(1, 1) - labelled.select(1, 1)).abs().max().item<float>(),
      1e-5);
  SamplingOptions options{.steps = 1, .guidance = 3};
  options.guidance_interval = {0.1, 1};
  EXPECT_TRUE(at::equal(sample(options, some_labels(4)), labelled));
  options.guidance_interval = {0.1, 80};
  EXPECT_TRUE(at::equal(sample(options, some_labels(4)), guided));
}

TEST(ImageSamplerTest, WhatCannotBeDrawnIsRefused) {
  EXPECT_THROW(sample(few_steps(), {3}), ConfigError);
  EXPECT_THROW(sample(few_steps(), {-1}), ConfigError);
  TaskOptions options = task_options();
  options.generation.label_dropout = 0;
  const GenerationTask task(options);
  EXPECT_THROW(sample_images(task, loader(task), few_steps(), {.labels = {0}}),
               ConfigError);
}

TEST(ImageSamplerTest, PixelsUndoTheScaleOfTraining) {
  const at::Tensor images =
      at::tensor({-1.0, 0.0, 1.0, 7.0, 0.0, 0.5, -3.0, 1.0}).view({1, 2, 2, 2});
  const at::Tensor pixels = to_pixels(images, {0.5, 0.25}, {0.5, 0.5});
  ASSERT_EQ(pixels.sizes(), (std::vector<int64_t>{1, 2, 2, 2}));
  const at::Tensor wanted =
      at::tensor({0, 64, 128, 128, 255, 0, 255, 191}, at::kByte)
          .view({1, 2, 2, 2});
  EXPECT_TRUE(at::equal(pixels, wanted)) << pixels;
}

}  // namespace
}  // namespace dblocks::tasks
