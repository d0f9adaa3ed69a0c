// SPDX-License-Identifier: Apache-2.0
// What is computed for the first token alone equals the first token of all.
#include <ATen/Context.h>
#include <ATen/ops/randn.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <memory>
#include <vector>

#include "dblocks/memory/meter.h"
#include "dblocks/nn/transformer_layer.h"

namespace dblocks::nn {
namespace {

constexpr int64_t kSamples = 5, kTokens = 9, kWidth = 24, kCondition = 6;

std::shared_ptr<LayerStack> make_stack(int64_t num_layers, bool modulated) {
  auto stack = std::make_shared<LayerStack>(0, num_layers, [&](int64_t) {
    return std::make_shared<TransformerLayer>(
        TransformerLayerOptions{.width = kWidth,
                                .heads = 3,
                                .mlp_width = 40,
                                .condition_width = modulated ? kCondition : 0});
  });
  c10::NoGradGuard no_grad;
  for (const at::Tensor& p : stack->parameters()) {
    at::Tensor(p).copy_(at::randn(p.sizes()) * 0.3 + 0.1);
  }
  return stack;
}

double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>() /
         (b.abs().max().item<double>() + 1e-30);
}

TEST(FirstTokenTest, ValueAndGradientsEqualThoseOfTheWholeStack) {
  at::manual_seed(1);
  for (const bool modulated : {false, true}) {
    for (const int64_t num_layers : {1, 3}) {
      SCOPED_TRACE(::testing::Message() << num_layers << modulated);
      const auto stack = make_stack(num_layers, modulated);
      const at::Tensor h =
          at::randn({kSamples, kTokens, kWidth}).requires_grad_();
      const at::Tensor condition =
          modulated ? at::randn({kSamples, kCondition}) : at::Tensor();
      const at::Tensor whole = stack->forward(h, condition).narrow(1, 0, 1);
      const at::Tensor token = stack->forward_first_token(h, condition);
      EXPECT_LT(relative_difference(token, whole), 1e-6);
      std::vector<at::Tensor> inputs = stack->parameters();
      inputs.push_back(h);
      const at::Tensor upstream = at::randn(token.sizes());
      const auto ours = torch::autograd::grad({token}, inputs, {upstream});
      const auto all = torch::autograd::grad({whole}, inputs, {upstream});
      for (size_t i = 0; i < inputs.size(); ++i) {
        EXPECT_LT(relative_difference(ours[i], all[i]), 3e-5) << "input " << i;
      }
    }
  }
}

TEST(FirstTokenTest, AStackWithoutLayersReturnsTheTokenItself) {
  const at::Tensor h = at::randn({2, 3, kWidth});
  EXPECT_TRUE(at::equal(make_stack(0, false)->forward_first_token(h, {}),
                        h.narrow(1, 0, 1)));
}

TEST(FirstTokenTest, TheLastLayerKeepsFarFewerActivations) {
  memory::install_cpu_meter();
  const auto stack = make_stack(1, true);
  const at::Tensor h = at::randn({64, 33, kWidth}).requires_grad_();
  const at::Tensor condition = at::randn({64, kCondition});
  const auto kept_by = [&](const auto& forward) {
    const int64_t before = memory::cpu_live_bytes();
    const at::Tensor result = forward();
    return memory::cpu_live_bytes() - before;
  };
  const int64_t all = kept_by([&] { return stack->forward(h, condition); });
  const int64_t first =
      kept_by([&] { return stack->forward_first_token(h, condition); });
  EXPECT_LT(3 * first, all);
}

}  // namespace
}  // namespace dblocks::nn
