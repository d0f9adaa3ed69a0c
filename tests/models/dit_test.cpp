// SPDX-License-Identifier: Apache-2.0
#include "dblocks/models/dit.h"

#include <ATen/Context.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dblocks/core/error.h"

namespace dblocks::models {
namespace {

DitShape shape_of(DitSize size,
                  int64_t channels,
                  int64_t side,
                  int64_t num_classes,
                  int64_t patch = 2) {
  return {.options = resolve(DitOptions{.size = size, .patch = patch}),
          .channels = channels,
          .rows = side,
          .columns = side,
          .num_classes = num_classes};
}

int64_t num_parameters(const DitShape& shape) {
  int64_t count = 0;
  for (const at::Tensor& p :
       DitNetwork(shape, 0, shape.options.num_layers).parameters()) {
    count += p.numel();
  }
  return count;
}

TEST(DitTest, ParameterCountsAreThePublishedOnes) {
  EXPECT_EQ(num_parameters(shape_of(DitSize::kS, 3, 32, 10)), 32475660);
  EXPECT_EQ(num_parameters(shape_of(DitSize::kL, 4, 32, 1000)), 457824272);
}

TEST(DitTest, PatchAndChannelsChangeEmbeddingAndHeadAlone) {
  const int64_t base = num_parameters(shape_of(DitSize::kS, 3, 32, 10));
  // Per patch number: a column of the embedding, a row and a bias of the head.
  const auto differs = [&](int64_t channels, int64_t patch) {
    return num_parameters(shape_of(DitSize::kS, channels, 32, 10, patch)) -
           base;
  };
  EXPECT_EQ(differs(1, 2), (1 * 4 - 3 * 4) * (384 + 384 + 1));
  EXPECT_EQ(differs(3, 4), (3 * 16 - 3 * 4) * (384 + 384 + 1));
  EXPECT_EQ(differs(3, 8), (3 * 64 - 3 * 4) * (384 + 384 + 1));
}

TEST(DitTest, APatchThatDoesNotDivideTheImageIsRefused) {
  EXPECT_THROW(num_parameters(shape_of(DitSize::kS, 1, 28, 10, 8)),
               ConfigError);
}

DitShape small_shape() {
  DitShape shape = shape_of(DitSize::kCustom, 2, 8, 5);
  shape.options.num_layers = 3;
  shape.options.width = 16;
  shape.options.heads = 2;
  shape.columns = 12;
  return shape;
}

void redraw(torch::nn::Module& network) {
  c10::NoGradGuard no_grad;
  for (const at::Tensor& p : network.parameters()) {
    at::Tensor(p).copy_(at::randn(p.sizes()) * 0.2);
  }
}

// Columns first, sines before cosines, frequencies 10000^(-4k/width).
TEST(DitTest, PositionsAreSinesAndCosinesOfColumnAndRow) {
  const at::Tensor positions = sine_cosine_positions(3, 5, 16);
  ASSERT_EQ(positions.sizes(), (std::vector<int64_t>{15, 16}));
  for (int64_t row = 0; row < 3; ++row) {
    for (int64_t column = 0; column < 5; ++column) {
      for (int64_t k = 0; k < 4; ++k) {
        const double f = std::pow(10000.0, -4.0 * static_cast<double>(k) / 16);
        const at::Tensor p = positions[row * 5 + column];
        const auto x = static_cast<double>(column) * f;
        const auto y = static_cast<double>(row) * f;
        EXPECT_NEAR(p[k].item<double>(), std::sin(x), 1e-6);
        EXPECT_NEAR(p[4 + k].item<double>(), std::cos(x), 1e-6);
        EXPECT_NEAR(p[8 + k].item<double>(), std::sin(y), 1e-6);
        EXPECT_NEAR(p[12 + k].item<double>(), std::cos(y), 1e-6);
      }
    }
  }
}

TEST(DitTest, PatchesGoBackToWhereTheyCameFrom) {
  at::manual_seed(2);
  const DitShape shape = small_shape();
  DitNetwork network(shape, 0, 3);
  redraw(network);
  c10::NoGradGuard no_grad;
  const at::Tensor images = at::randn({2, 2, 8, 12});
  const at::Tensor labels = at::randint(5, {2}, at::kLong);
  const at::Tensor noise = at::randn({2});
  // With the layers' gates shut, a patch sees itself and nothing else.
  for (const auto& item : network.named_parameters()) {
    if (item.key().starts_with("layers.") &&
        item.key().find("modulation") != std::string::npos) {
      at::Tensor(item.value()).zero_();
    }
  }
  const at::Tensor before = network.forward(labels, images, noise);
  ASSERT_EQ(before.sizes(), images.sizes());
  at::Tensor changed = images.clone();
  changed[0][1][5][8] += 1;  // patch (2, 4): rows 4, 5 and columns 8, 9
  const at::Tensor moved =
      (network.forward(labels, changed, noise) - before).abs().sum(1);
  EXPECT_GT(moved[0].slice(0, 4, 6).slice(1, 8, 10).min().item<float>(), 1e-6);
  EXPECT_NEAR(moved.sum().item<float>(),
              moved[0].slice(0, 4, 6).slice(1, 8, 10).sum().item<float>(),
              1e-5);
}

TEST(DitTest, EveryLabelAndTheMissingOneGiveResultsOfTheirOwn) {
  at::manual_seed(3);
  DitNetwork network(small_shape(), 0, 3);
  redraw(network);
  c10::NoGradGuard no_grad;
  const at::Tensor images = at::randn({1, 2, 8, 12});
  const at::Tensor noise = at::full({1}, 0.3);
  std::vector<at::Tensor> results;
  for (int64_t label = 0; label <= 5; ++label) {
    results.push_back(
        network.forward(at::full({1}, label, at::kLong), images, noise));
    for (int64_t other = 0; other < label; ++other) {
      EXPECT_GT((results[label] - results[other]).abs().max().item<float>(),
                1e-4);
    }
  }
}

}  // namespace
}  // namespace dblocks::models
