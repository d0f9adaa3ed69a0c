// SPDX-License-Identifier: Apache-2.0
// Layers run again in the backward pass give what layers run once give.
#include "dblocks/nn/recompute.h"

#include <ATen/Context.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/linear.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "dblocks/memory/meter.h"
#include "dblocks/nn/transformer_layer.h"

namespace dblocks::nn {
namespace {

constexpr int64_t kBatch = 6, kLength = 9, kFeatures = 24, kConditionWidth = 6;

void redraw(torch::nn::Module& module) {
  c10::NoGradGuard no_grad;
  for (const at::Tensor& p : module.parameters()) {
    at::Tensor(p).copy_(at::randn(p.sizes()) * 0.3 + 0.1);
  }
}

std::shared_ptr<LayerStack> make_stack(int64_t num_layers,
                                       const TransformerLayerOptions& options) {
  auto stack = std::make_shared<LayerStack>(0, num_layers, [&](int64_t) {
    return std::make_shared<TransformerLayer>(options);
  });
  redraw(*stack);
  return stack;
}

/// A layer as a user may write it, with random numbers of LibTorch's own.
struct OwnLayer : ResidualLayer {
  torch::nn::Linear up{kFeatures, 2 * kFeatures},
      down{2 * kFeatures, kFeatures};
  OwnLayer() {
    register_module("up", up);
    register_module("down", down);
  }
  at::Tensor forward(const at::Tensor& h, const at::Tensor&) override {
    return h + down(at::dropout(at::gelu(up(h)), 0.3, true)) +
           at::randn(h.sizes()) * 0.1;
  }
};

/// What a pass gives: result, gradients of parameters, input and condition, and
/// the numbers drawn next.
struct Pass {
  at::Tensor result;
  std::vector<at::Tensor> gradients;
  at::Tensor drawn_next;
};

Pass run(LayerStack& stack,
         bool recompute,
         const at::Tensor& h,
         const at::Tensor& condition,
         bool first_token) {
  stack.set_recompute(recompute);
  at::manual_seed(5);
  Pass pass;
  pass.result = first_token ? stack.forward_first_token(h, condition)
                            : stack.forward(h, condition);
  std::vector<at::Tensor> inputs = stack.parameters();
  inputs.push_back(h);
  inputs.push_back(condition);
  for (at::Tensor& input : inputs) {
    if (input.defined()) {
      input.mutable_grad() = at::Tensor();
    }
  }
  at::manual_seed(6);
  const at::Tensor upstream = at::randn(pass.result.sizes());
  pass.result.backward(upstream);
  for (const at::Tensor& input : inputs) {
    pass.gradients.push_back(input.defined() ? input.grad() : at::Tensor());
  }
  pass.drawn_next = at::rand({8});
  return pass;
}

void expect_same_bits(const Pass& a, const Pass& b) {
  EXPECT_TRUE(at::equal(a.result, b.result));
  EXPECT_TRUE(at::equal(a.drawn_next, b.drawn_next));
  ASSERT_EQ(a.gradients.size(), b.gradients.size());
  for (size_t i = 0; i < a.gradients.size(); ++i) {
    ASSERT_EQ(a.gradients[i].defined(), b.gradients[i].defined()) << i;
    if (a.gradients[i].defined()) {
      EXPECT_TRUE(at::equal(a.gradients[i], b.gradients[i])) << "input " << i;
    }
  }
}

TEST(RecomputeTest, ResultAndGradientsAreThoseWithoutBitForBit) {
  at::manual_seed(1);
  for (const bool modulated : {false, true}) {
    for (const double dropout : {0.0, 0.2}) {
      for (const at::ScalarType compute : {at::kFloat, at::kBFloat16}) {
        for (const bool first_token : {false, true}) {
          SCOPED_TRACE(::testing::Message()
                       << modulated << dropout << compute << first_token);
          const auto stack = make_stack(
              4, {.width = kFeatures,
                  .heads = 3,
                  .mlp_width = 40,
                  .dropout = dropout,
                  .compute = compute,
                  .condition_width = modulated ? kConditionWidth : 0});
          const at::Tensor h =
              at::randn({kBatch, kLength, kFeatures}).requires_grad_();
          const at::Tensor condition =
              modulated ? at::randn({kBatch, kConditionWidth}).requires_grad_()
                        : at::Tensor();
          const Pass plain = run(*stack, false, h, condition, first_token);
          ASSERT_GT(plain.gradients[0].abs().max().item<float>(), 0);
          expect_same_bits(run(*stack, true, h, condition, first_token), plain);
        }
      }
    }
  }
}

TEST(RecomputeTest, LayersOfOnesOwnMeetTheSameRandomNumbersAgain) {
  const auto stack = std::make_shared<LayerStack>(
      0, 3, [](int64_t) { return std::make_shared<OwnLayer>(); });
  const at::Tensor h = at::randn({kBatch, kFeatures}).requires_grad_();
  const Pass plain = run(*stack, false, h, {}, false);
  ASSERT_TRUE(plain.gradients.front().defined());
  expect_same_bits(run(*stack, true, h, {}, false), plain);
}

TEST(RecomputeTest, ParametersLearnFromAnInputThatWantsNoGradient) {
  const auto stack = make_stack(
      3, {.width = kFeatures, .heads = 3, .mlp_width = 40, .dropout = 0.1});
  const at::Tensor h = at::randn({kBatch, kLength, kFeatures});
  const Pass plain = run(*stack, false, h, {}, true);
  ASSERT_TRUE(plain.gradients.front().defined());
  expect_same_bits(run(*stack, true, h, {}, true), plain);
}

TEST(RecomputeTest, WithoutGradientsNothingIsKept) {
  memory::install_cpu_meter();
  const auto stack =
      make_stack(3, {.width = kFeatures, .heads = 3, .mlp_width = 40});
  stack->set_recompute(true);
  const at::Tensor h = at::randn({kBatch, kLength, kFeatures});
  const int64_t before = memory::cpu_live_bytes();
  c10::NoGradGuard no_grad;
  const at::Tensor result = stack->forward(h, {});
  EXPECT_EQ(memory::cpu_live_bytes() - before,
            static_cast<int64_t>(result.nbytes()));
}

TEST(RecomputeTest, TwelveLayersPeakAtAThirdOfTheActivations) {
  memory::install_cpu_meter();
  for (const double dropout : {0.0, 0.1}) {
    const auto stack = make_stack(12, {.width = 64,
                                       .heads = 4,
                                       .mlp_width = 256,
                                       .dropout = dropout,
                                       .condition_width = kConditionWidth});
    const at::Tensor h = at::randn({32, 65, 64}).requires_grad_();
    const at::Tensor condition = at::randn({32, kConditionWidth});
    const auto peak_with = [&](bool recompute) {
      stack->set_recompute(recompute);
      // Gradients that are there already: what is left is activations.
      stack->forward_first_token(h, condition).sum().backward();
      const int64_t before = memory::cpu_live_bytes();
      memory::reset_cpu_peak();
      stack->forward_first_token(h, condition).sum().backward();
      return static_cast<double>(memory::cpu_peak_bytes() - before);
    };
    const double ratio = peak_with(true) / peak_with(false);
    std::printf("dropout %.1f: peak activations %.3f of those kept\n", dropout,
                ratio);
    EXPECT_LE(ratio, 0.35) << "dropout " << dropout;
  }
}

}  // namespace
}  // namespace dblocks::nn
