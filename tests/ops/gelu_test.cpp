// SPDX-License-Identifier: Apache-2.0
#include "dblocks/ops/gelu.h"

#include <ATen/Context.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "tests/ops/twin.h"

namespace dblocks::ops {
namespace {

TEST(GeluTest, AgreesWithItsTwinOverTheWholeRange) {
  testing::expect_same([](const auto& t) { return ops::gelu(t[0]); },
                       [](const auto& t) { return gelu_composed(t[0]); },
                       {at::linspace(-15, 15, 100003)},
                       at::linspace(1, 2, 100003), 1e-6);
}

TEST(GeluTest, ValuesAreThoseOfTheNormalDistribution) {
  const at::Tensor x = at::linspace(-6, 6, 1201).requires_grad_();
  const at::Tensor y = ops::gelu(x);
  for (int64_t i = 0; i < x.numel(); i += 7) {
    const double v = x[i].item<double>();
    const double phi = 0.5 * std::erfc(-v / std::sqrt(2.0));
    EXPECT_NEAR(y[i].item<double>(), v * phi, 5e-7) << v;
  }
}

TEST(GeluTest, Bfloat16IsTheRoundedFloat32Result) {
  at::manual_seed(1);
  const at::Tensor x = at::randn({1000}).to(at::kBFloat16).requires_grad_();
  const at::Tensor exact = gelu_composed(x.detach().to(at::kDouble));
  EXPECT_LT(testing::relative_difference(ops::gelu(x), exact), 1.0 / 256);
}

TEST(GeluTest, TheTanhFormAgreesWithItsTwinOverTheWholeRange) {
  testing::expect_same([](const auto& t) { return gelu_tanh(t[0]); },
                       [](const auto& t) { return gelu_tanh_composed(t[0]); },
                       {at::linspace(-15, 15, 100003)},
                       at::linspace(1, 2, 100003), 1e-6);
}

TEST(GeluTest, TheTanhFormIsTheFormulaOfItsSource) {
  const at::Tensor x = at::linspace(-30, 30, 1201).requires_grad_();
  const at::Tensor y = gelu_tanh(x);
  for (int64_t i = 0; i < x.numel(); i += 7) {
    const double v = x[i].item<double>();
    const double u =
        std::sqrt(2 / std::numbers::pi) * (v + 0.044715 * v * v * v);
    EXPECT_NEAR(y[i].item<double>(), v / 2 * (1 + std::tanh(u)), 1e-6) << v;
  }
}

TEST(GeluTest, WithoutAGraphTheValueHasTheSameBits) {
  at::manual_seed(2);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = at::randn({70003}).to(type);
    const at::Tensor with_graph = x.clone().requires_grad_();
    EXPECT_FALSE(ops::gelu(x).requires_grad());
    EXPECT_TRUE(at::equal(ops::gelu(x), ops::gelu(with_graph)));
    EXPECT_TRUE(at::equal(gelu_tanh(x), gelu_tanh(with_graph)));
  }
}

TEST(GeluTest, NanAndInfinityPassThrough) {
  const float inf = std::numeric_limits<float>::infinity();
  const at::Tensor x = at::tensor({std::nanf(""), inf}).requires_grad_();
  const at::Tensor y = ops::gelu(x);
  EXPECT_TRUE(std::isnan(y[0].item<float>()));
  EXPECT_EQ(y[1].item<float>(), inf);
}

TEST(GeluTest, ASecondBackwardPassIsRefusedNotWrong) {
  const at::Tensor x = at::randn({8}).requires_grad_();
  const at::Tensor sum = ops::gelu(x).sum();
  sum.backward({}, true);
  EXPECT_THROW(sum.backward({}, true), c10::Error);
}

}  // namespace
}  // namespace dblocks::ops
