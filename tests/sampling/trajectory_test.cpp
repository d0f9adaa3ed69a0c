// SPDX-License-Identifier: Apache-2.0
// Solvers against a Gaussian mixture, whose best denoiser and whose probability
// flow are known exactly.
#include "dblocks/sampling/trajectory.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include "dblocks/noise/partition.h"

namespace dblocks::sampling {
namespace {

struct Component {
  double weight, mean, std;
};
constexpr std::array<Component, 3> kMixture = {
    {{0.5, -0.8, 0.1}, {0.3, 0.2, 0.2}, {0.2, 0.9, 0.15}}};

/// E[y | z] where z = y + sigma * epsilon.
at::Tensor denoise(const at::Tensor& z, double sigma) {
  at::Tensor numerator = at::zeros_like(z), total = at::zeros_like(z);
  for (const Component& c : kMixture) {
    const double variance = c.std * c.std + sigma * sigma;
    const at::Tensor density =
        at::exp((z - c.mean).square() * (-0.5 / variance)) *
        (c.weight / std::sqrt(variance));
    total = total + density;
    numerator = numerator + density *
                                (z * (c.std * c.std) + c.mean * sigma * sigma) /
                                variance;
  }
  return numerator / total;
}

/// Distribution function of z at noise sigma.
double cdf(double z, double sigma) {
  double sum = 0;
  for (const Component& c : kMixture) {
    const double std = std::sqrt(c.std * c.std + sigma * sigma);
    sum += c.weight * noise::normal_cdf((z - c.mean) / std);
  }
  return sum;
}

/// The flow keeps the order of points on a line, so what it makes of z at
/// sigma_max is the point with as much probability below it.
double exact_end(double z, double sigma_max, double sigma_end) {
  const double below = cdf(z, sigma_max);
  double low = -5, high = 5;
  for (int i = 0; i < 80; ++i) {
    const double middle = (low + high) / 2;
    (cdf(middle, sigma_end) < below ? low : high) = middle;
  }
  return (low + high) / 2;
}

noise::Partition partition_of(int64_t num_blocks, double sigma_max = 80) {
  return {{.sigma_max = sigma_max}, {}, num_blocks};
}

at::Tensor follow(std::vector<noise::ScheduledSigma> schedule,
                  const StepOptions& options,
                  const at::Tensor& z,
                  const StepNoise& noise = {}) {
  Trajectory path(std::move(schedule), options, z, noise);
  while (!path.is_done()) {
    path.advance(denoise(path.input(), path.next().sigma));
  }
  return path.input();
}

/// Mean distance to the exact end, over points spread over the start.
double error(int64_t num_steps, bool is_second_order) {
  constexpr double kSigmaMax = 10;
  const at::Tensor z = at::linspace(-15, 15, 31, at::kDouble);
  const at::Tensor end =
      follow(noise::karras_schedule(partition_of(1, kSigmaMax), num_steps),
             {.is_second_order = is_second_order}, z);
  double sum = 0;
  for (int64_t i = 0; i < z.numel(); ++i) {
    sum += std::abs(end[i].item<double>() -
                    exact_end(z[i].item<double>(), kSigmaMax, 0));
  }
  return sum / static_cast<double>(z.numel());
}

double order(int64_t num_steps, bool is_second_order) {
  return std::log2(error(num_steps, is_second_order) /
                   error(2 * num_steps, is_second_order));
}

TEST(TrajectoryTest, EulerConvergesAtOrderOneAndHeunAtOrderTwo) {
  std::printf("orders: euler %.3f, heun %.3f\n", order(256, false),
              order(128, true));
  EXPECT_NEAR(order(256, false), 1, 0.1);
  EXPECT_NEAR(order(128, true), 2, 0.2);
  EXPECT_LT(error(512, false), 5e-3);
  EXPECT_LT(error(256, true), 2e-4);
}

struct Moments {
  double mean, variance;
};

/// Of the mixture itself.
Moments true_moments() {
  double mean = 0, square = 0;
  for (const Component& c : kMixture) {
    mean += c.weight * c.mean;
    square += c.weight * (c.mean * c.mean + c.std * c.std);
  }
  return {mean, square - mean * mean};
}

void expect_moments(const at::Tensor& samples) {
  const Moments wanted = true_moments();
  const auto n = static_cast<double>(samples.numel());
  // Four standard errors of mean and variance; the mixture's kurtosis is below
  // a normal's.
  EXPECT_NEAR(samples.mean().item<double>(), wanted.mean,
              4 * std::sqrt(wanted.variance / n));
  EXPECT_NEAR(samples.var().item<double>(), wanted.variance,
              4 * wanted.variance * std::sqrt(2 / n));
}

TEST(TrajectoryTest, SamplesHaveTheMomentsOfTheData) {
  at::manual_seed(6);
  const at::Tensor z = at::randn({40000}, at::kDouble) * 80;
  const auto schedule = noise::karras_schedule(partition_of(3), 60);
  expect_moments(follow(schedule, {.is_second_order = true}, z));
  const auto noise = [&](int64_t) { return at::randn_like(z); };
  expect_moments(
      follow(schedule, {.is_second_order = true, .churn = 30}, z, noise));
}

/// Calls per block on the way, as method.md's tables list them.
std::vector<int64_t> calls_per_block(
    const std::vector<noise::ScheduledSigma>& schedule,
    int64_t num_blocks,
    bool is_second_order) {
  Trajectory path(schedule, {.is_second_order = is_second_order},
                  at::zeros({1}, at::kDouble));
  std::vector<int64_t> calls(num_blocks);
  double before = 1e9;
  int64_t block = 0;
  while (!path.is_done()) {
    const noise::ScheduledSigma call = path.next();
    EXPECT_LE(call.sigma, before);
    EXPECT_GE(call.block, block);
    before = call.sigma;
    block = call.block;
    ++calls[block];
    path.advance(at::zeros({1}, at::kDouble));
  }
  return calls;
}

TEST(TrajectoryTest, FiftyStepsCallEveryBlockAsOftenAsTheScheduleSays) {
  const std::vector<std::vector<int64_t>> quantile = {
      {25, 25}, {17, 16, 17}, {13, 12, 12, 13}, {9, 8, 8, 8, 8, 9}};
  const std::vector<std::vector<int64_t>> karras = {
      {35, 15}, {33, 4, 13}, {32, 3, 3, 12}, {30, 3, 2, 2, 2, 11}};
  for (size_t i = 0; i < quantile.size(); ++i) {
    const auto blocks = static_cast<int64_t>(quantile[i].size());
    const noise::Partition partition = partition_of(blocks);
    EXPECT_EQ(
        calls_per_block(noise::quantile_schedule(partition, 50), blocks, false),
        quantile[i]);
    EXPECT_EQ(
        calls_per_block(noise::karras_schedule(partition, 50), blocks, false),
        karras[i]);
  }
}

// The second slope of a step is taken by the block that owns the step's end, so
// a block is called once more where a step enters it.
TEST(TrajectoryTest, HeunCallsTheOwnerOfTheEndForTheSecondSlope) {
  const noise::Partition partition = partition_of(3);
  EXPECT_EQ(calls_per_block(noise::quantile_schedule(partition, 50), 3, true),
            (std::vector<int64_t>{2 * 17 - 1, 2 * 16, 2 * 17}));
}

TEST(TrajectoryTest, ChurnRaisesSigmaOnlyWithinItsInterval) {
  std::vector<noise::ScheduledSigma> schedule = {{10, 0}, {1, 1}, {0.1, 2}};
  const StepOptions options{.churn = 0.6, .churn_low = 0.5, .churn_high = 5};
  const at::Tensor z = at::zeros({3}, at::kDouble);
  std::vector<int64_t> asked;
  Trajectory path(schedule, options, z, [&](int64_t step) {
    asked.push_back(step);
    return at::ones_like(z);
  });
  EXPECT_EQ(path.next().sigma, 10);
  path.advance(z);
  // 0.6 of churn over 3 steps: a fifth.
  EXPECT_DOUBLE_EQ(path.next().sigma, 1.2);
  EXPECT_EQ(path.next().block, 1);
  EXPECT_NEAR(path.input()[0].item<double>(), std::sqrt(1.2 * 1.2 - 1), 1e-12);
  path.advance(z);
  EXPECT_EQ(path.next().sigma, 0.1);
  EXPECT_EQ(asked, std::vector<int64_t>{1});
}

}  // namespace
}  // namespace dblocks::sampling
