// SPDX-License-Identifier: Apache-2.0
#include "dblocks/ops/residual.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "tests/ops/twin.h"

namespace dblocks::ops {
namespace {

using testing::expect_same;

// Widths that fill vectors, leave a rest, and are shorter than one.
struct Shape {
  int64_t samples, tokens, width;
};
constexpr Shape kShapes[] = {{3, 5, 128}, {2, 7, 37}, {4, 1, 3}, {64, 17, 48}};
constexpr double kEps = 1e-12;

at::Tensor norm_composed(const std::vector<at::Tensor>& t) {
  return norm_modulate_composed(t[0], t[1], t[2], kEps,
                                t.size() > 3 ? t[3] : at::Tensor(),
                                t.size() > 3 ? t[4] : at::Tensor());
}

at::Tensor norm_fast(const std::vector<at::Tensor>& t) {
  return norm_modulate(t[0], t[1], t[2], kEps,
                       t.size() > 3 ? t[3] : at::Tensor(),
                       t.size() > 3 ? t[4] : at::Tensor());
}

TEST(NormModulateTest, AgreesWithItsTwinInDoublePrecision) {
  at::manual_seed(1);
  for (const auto& [n, t, d] : kShapes) {
    SCOPED_TRACE(::testing::Message() << n << " x " << t << " x " << d);
    const at::Tensor x = at::randn({n, t, d}) * 3 + 1;
    const at::Tensor weight = at::randn({d}) + 1, bias = at::randn({d});
    const at::Tensor shift = at::randn({n, d}), scale = at::randn({n, d});
    const at::Tensor upstream = at::randn({n, t, d});
    expect_same(norm_fast, norm_composed, {x, weight, bias, shift, scale},
                upstream, 3e-6);
    expect_same(norm_fast, norm_composed, {x, weight, bias}, upstream, 3e-6);
  }
}

TEST(NormModulateTest, NormalisesSingleVectorsToo) {
  at::manual_seed(2);
  expect_same(norm_fast, norm_composed,
              {at::randn({6, 32}), at::randn({32}), at::randn({32})},
              at::randn({6, 32}), 3e-6);
}

TEST(NormModulateTest, TakesTensorsThatAreNotContiguous) {
  at::manual_seed(3);
  const at::Tensor x = at::randn({4, 9, 16}), m = at::randn({4, 64});
  const auto pick = [](const testing::Operation& norm,
                       const std::vector<at::Tensor>& t) {
    return norm({t[0].select(1, 2), t[1], t[2], t[3].narrow(1, 16, 16),
                 t[3].narrow(1, 48, 16)});
  };
  expect_same(
      [&](const auto& t) { return pick(norm_fast, t); },
      [&](const auto& t) {
        return norm_composed({t[0].select(1, 2).unsqueeze(1), t[1], t[2],
                              t[3].narrow(1, 16, 16), t[3].narrow(1, 48, 16)})
            .squeeze(1);
      },
      {x, at::randn({16}), at::randn({16}), m}, at::randn({4, 16}), 3e-6);
}

TEST(NormModulateTest, GivesTheSameBitsForEveryNumberOfThreads) {
  at::manual_seed(4);
  const std::vector<at::Tensor> inputs = {
      at::randn({64, 33, 96}), at::randn({96}), at::randn({96}),
      at::randn({64, 96}), at::randn({64, 96})};
  const auto run = [&](int threads) {
    at::set_num_threads(threads);
    const auto t = testing::leaves(inputs, at::kFloat);
    const at::Tensor y = norm_fast(t);
    auto all = torch::autograd::grad({y}, t, {y});
    all.push_back(y);
    return all;
  };
  const auto one = run(1), two = run(2);
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_TRUE(at::equal(one[i], two[i])) << i;
  }
}

TEST(GatedResidualTest, AgreesWithItsTwinInDoublePrecision) {
  at::manual_seed(5);
  for (const auto& [n, t, d] : kShapes) {
    SCOPED_TRACE(::testing::Message() << n << " x " << t << " x " << d);
    expect_same(
        [](const auto& in) { return gated_residual(in[0], in[1], in[2]); },
        [](const auto& in) {
          return at::addcmul(in[0], in[2].unsqueeze(-2), in[1]);
        },
        {at::randn({n, t, d}), at::randn({n, t, d}), at::randn({n, d})},
        at::randn({n, t, d}), 3e-6);
  }
}

TEST(GatedResidualTest, AddsABfloat16BranchInFloat32) {
  at::manual_seed(6);
  const at::Tensor h = at::randn({3, 4, 40}), gate = at::randn({3, 40});
  const at::Tensor branch =
      at::randn({3, 4, 40}).to(at::kBFloat16).requires_grad_();
  const at::Tensor y = gated_residual(h, branch, gate);
  const at::Tensor twin = gated_residual_composed(h, branch, gate);
  EXPECT_EQ(y.scalar_type(), at::kFloat);
  EXPECT_LT(testing::relative_difference(y, twin), 1e-6);
  const at::Tensor g = torch::autograd::grad({y}, {branch}, {h}).front();
  const at::Tensor e = torch::autograd::grad({twin}, {branch}, {h}).front();
  EXPECT_EQ(g.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(g, e));
}

TEST(GatedResidualTest, WithoutAGateIsAPlainSum) {
  const at::Tensor h = at::randn({2, 3, 4}), branch = at::randn({2, 3, 4});
  EXPECT_TRUE(at::equal(gated_residual(h, branch, {}), h + branch));
}

}  // namespace
}  // namespace dblocks::ops
