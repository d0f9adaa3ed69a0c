// SPDX-License-Identifier: Apache-2.0
#include "dblocks/ops/linear.h"

#include <ATen/Context.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/ops/twin.h"

namespace dblocks::ops {
namespace {

at::Tensor fast(const std::vector<at::Tensor>& t) {
  return ops::linear(t[0], t[1], t[2]);
}

at::Tensor twin(const std::vector<at::Tensor>& t) {
  return linear_composed(t[0], t[1], t[2]);
}

/// An input, a weight and a bias; two of the shapes below are large enough
/// for the product that is chosen by processor.
std::vector<at::Tensor> some_inputs(const std::vector<int64_t>& shape,
                                    int64_t out) {
  at::manual_seed(1);
  return {at::randn(shape), at::randn({out, shape.back()}), at::randn({out})};
}

TEST(LinearTest, AgreesWithItsTwin) {
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{512, 256}, std::vector<int64_t>{4, 130, 256},
        std::vector<int64_t>{3, 5, 40}}) {
    const std::vector<at::Tensor> inputs = some_inputs(shape, 160);
    std::vector<int64_t> result = shape;
    result.back() = 160;
    testing::expect_same(fast, twin, inputs, at::randn(result), 1e-5);
  }
}

TEST(LinearTest, TakesTensorsThatAreNotDense) {
  const std::vector<at::Tensor> dense = some_inputs({256, 512}, 320);
  const at::Tensor x = dense[0].t().contiguous().t().requires_grad_();
  const at::Tensor weight = dense[1].narrow(0, 100, 160);
  const at::Tensor bias = dense[2].narrow(0, 100, 160);
  const at::Tensor y = ops::linear(x, weight, bias);
  EXPECT_LT(
      testing::relative_difference(
          y, linear_composed(dense[0].to(at::kDouble), weight.to(at::kDouble),
                             bias.to(at::kDouble))),
      1e-5);
  const at::Tensor upstream = at::randn({160, 256}).t();
  const at::Tensor g = torch::autograd::grad({y}, {x}, {upstream}).front();
  EXPECT_LT(testing::relative_difference(
                g, upstream.to(at::kDouble).mm(weight.to(at::kDouble))),
            1e-5);
}

TEST(LinearTest, WithoutAGraphTheValueHasTheSameBits) {
  const std::vector<at::Tensor> inputs = some_inputs({512, 256}, 160);
  const at::Tensor with_graph = fast(testing::leaves(inputs, at::kFloat));
  const c10::InferenceMode inference;
  EXPECT_TRUE(at::equal(fast(inputs), with_graph));
}

TEST(LinearTest, AsksOnlyForTheGradientsThatAreWanted) {
  std::vector<at::Tensor> inputs = some_inputs({512, 256}, 160);
  inputs[1].requires_grad_();
  fast(inputs).sum().backward();
  EXPECT_TRUE(inputs[1].grad().defined());
  EXPECT_FALSE(inputs[0].grad().defined());
  EXPECT_FALSE(inputs[2].grad().defined());
}

}  // namespace
}  // namespace dblocks::ops
