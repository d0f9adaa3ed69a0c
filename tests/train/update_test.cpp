// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/update.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace dblocks::train {
namespace {

FlatState random_state(StateFormat format = {}) {
  at::manual_seed(3);
  FlatState state(
      {{"a", at::randn({70, 33}), true}, {"b", at::randn({129}), false}},
      format);
  state.gradient().copy_(at::randn({state.num_elements()}));
  return state;
}

TEST(UpdateTest, FusedAndComposedOptimisersAgree) {
  FlatState fused = random_state(), composed = random_state();
  for (int64_t step = 1; step <= 10; ++step) {
    const optim::AdamWStep settings{
        .weight_decay = 0.1, .gradient_scale = 0.7, .step = step};
    adamw_update(fused, settings);
    adamw_update_composed(composed, settings);
  }
  EXPECT_TRUE(at::allclose(fused.weights(), composed.weights(), 1e-6, 1e-7));
  EXPECT_TRUE(at::allclose(fused.second_moment(), composed.second_moment(),
                           1e-6, 1e-9));
}

TEST(UpdateTest, FusedAndComposedOptimisersAgreeOnEightBitMoments) {
  FlatState fused = random_state({.moments = MomentFormat::kInt8});
  FlatState composed = random_state({.moments = MomentFormat::kInt8});
  for (int64_t step = 1; step <= 10; ++step) {
    const optim::AdamWStep settings{
        .weight_decay = 0.1, .gradient_scale = 0.7, .step = step};
    adamw_update(fused, settings);
    adamw_update_composed(composed, settings);
    fused.gradient().copy_(at::randn({fused.num_elements()}));
    composed.gradient().copy_(fused.gradient());
  }
  EXPECT_TRUE(at::allclose(fused.weights(), composed.weights(), 1e-5, 1e-5));
  EXPECT_TRUE(at::allclose(fused.second_scales(), composed.second_scales(),
                           1e-3, 1e-9));
  const auto share_equal = [](const at::Tensor& a, const at::Tensor& b) {
    return a.eq(b).to(at::kDouble).mean().item<double>();
  };
  // A moment between two codes may be rounded either way.
  EXPECT_GT(share_equal(fused.first_moment(), composed.first_moment()), 0.99);
  EXPECT_GT(share_equal(fused.second_moment(), composed.second_moment()), 0.99);
}

TEST(UpdateTest, FusedAndComposedUpdatesRoundWeightsInBf16Alike) {
  for (const MomentFormat moments :
       {MomentFormat::kFp32, MomentFormat::kInt8}) {
    const StateFormat format{.moments = moments,
                             .weights = WeightFormat::kBf16};
    FlatState fused = random_state(format), composed = random_state(format);
    const optim::AdamWStep settings{
        .weight_decay = 0.1, .step = 1, .rounding_key = 0xDEADBEEF};
    adamw_update(fused, settings);
    adamw_update_composed(composed, settings);
    // A weight that the two work out to a last bit apart may be rounded apart.
    const auto equal = fused.weights().eq(composed.weights());
    EXPECT_GT(equal.to(at::kDouble).mean().item<double>(), 0.995);
    EXPECT_TRUE(fused.weights().eq(fused.stored_weights()).all().item<bool>());
    EXPECT_TRUE(
        composed.weights().eq(composed.stored_weights()).all().item<bool>());
  }
}

TEST(UpdateTest, WeightsInBf16FollowStepsTooSmallForThem) {
  FlatState state({{"a", at::ones({100000}), true}},
                  {.weights = WeightFormat::kBf16});
  state.gradient().fill_(1);
  // 1 - 1e-4 lies a fortieth of the way to the next number of bfloat16 below.
  for (int64_t step = 1; step <= 100; ++step) {
    adamw_update(state, {.learning_rate = 1e-4,
                         .weight_decay = 0,
                         .step = step,
                         .rounding_key = static_cast<uint32_t>(step)});
  }
  EXPECT_NEAR(state.weights().mean().item<double>(), 0.99, 1e-4);
}

TEST(UpdateTest, AnIdleStateInBf16KeepsTwoBytesAWeight) {
  const at::Tensor weight = at::randn({64, 8});
  const at::Tensor before = weight.clone();
  FlatState state({{"a", weight, true}}, {.weights = WeightFormat::kBf16});
  const at::Tensor rounded = before.to(at::kBFloat16).to(at::kFloat);
  EXPECT_TRUE(weight.equal(rounded));
  state.release_workspace();
  EXPECT_FALSE(state.weights().defined());
  EXPECT_EQ(weight.numel(), 0);
  EXPECT_EQ(state.stored_weights().nbytes(), 2U * 64 * 8);
  const auto saved = state.tensors(FlatState::Buffer::kWeights);
  EXPECT_EQ(saved.at(0).dtype, DType::kBF16);
  state.zero_gradient();
  EXPECT_TRUE(weight.equal(rounded));
  EXPECT_EQ(weight.grad().sizes(), weight.sizes());
}

TEST(UpdateTest, EightBitMomentsShareNoScaleBetweenParameters) {
  const FlatState state = random_state({.moments = MomentFormat::kInt8});
  // 2310 and 129 elements: 10 blocks and 1.
  EXPECT_EQ(state.num_elements(), 11 * kMomentBlock);
  EXPECT_EQ(state.num_decayed(), 10 * kMomentBlock);
  EXPECT_EQ(state.first_scales().numel(), 11);
  EXPECT_EQ(state.first_moment().element_size(), 1U);
}

TEST(UpdateTest, EachAverageFollowsTheWeightsAtItsOwnDecay) {
  const optim::EmaDecays decays = {0.9, 0.5};
  FlatState state({{"a", at::randn({40}), true}}, {.averages = 2});
  EXPECT_TRUE(state.average(0).equal(state.weights()));
  std::array<at::Tensor, 2> expected;
  expected.fill(state.weights().to(at::kDouble));
  for (int64_t step = 1; step <= 8; ++step) {
    state.gradient().copy_(at::randn({state.num_elements()}));
    update_state(state, {.learning_rate = 0.1, .step = step}, decays);
    for (size_t i = 0; i < 2; ++i) {
      expected[i] = expected[i] * decays[i] + state.weights() * (1 - decays[i]);
      EXPECT_TRUE(at::allclose(state.average(static_cast<int64_t>(i)),
                               expected[i].to(at::kFloat), 1e-5, 1e-6));
    }
  }
}

TEST(UpdateTest, PaddingStaysZero) {
  FlatState state({{"a", at::randn({5}), true}, {"b", at::randn({3}), false}});
  ASSERT_EQ(state.num_elements(), 32);
  state.zero_gradient();
  state.gradient().narrow(0, 0, 5).fill_(1);
  state.gradient().narrow(0, 16, 3).fill_(1);
  for (int64_t step = 1; step <= 3; ++step) {
    adamw_update(state, {.step = step});
  }
  EXPECT_EQ(state.weights().narrow(0, 5, 11).count_nonzero().item<int64_t>(),
            0);
  EXPECT_EQ(state.weights().narrow(0, 19, 13).count_nonzero().item<int64_t>(),
            0);
}

TEST(UpdateTest, TheNormSeesEveryElement) {
  FlatState state = random_state();
  const double expected =
      state.gradient().to(at::kDouble).norm().item<double>();
  EXPECT_NEAR(gradient_norm(state) / expected, 1, 1e-12);
  state.gradient()[7] = NAN;
  EXPECT_FALSE(std::isfinite(gradient_norm(state)));
}

}  // namespace
}  // namespace dblocks::train
