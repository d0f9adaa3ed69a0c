// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/update.h"

#include <ATen/Context.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <cmath>

namespace dblocks::train {
namespace {

FlatState random_state(MomentFormat moments = MomentFormat::kFp32) {
  at::manual_seed(3);
  FlatState state(
      {{"a", at::randn({70, 33}), true}, {"b", at::randn({129}), false}},
      moments);
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
  FlatState fused = random_state(MomentFormat::kInt8);
  FlatState composed = random_state(MomentFormat::kInt8);
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

TEST(UpdateTest, EightBitMomentsShareNoScaleBetweenParameters) {
  const FlatState state = random_state(MomentFormat::kInt8);
  // 2310 and 129 elements: 10 blocks and 1.
  EXPECT_EQ(state.num_elements(), 11 * kMomentBlock);
  EXPECT_EQ(state.num_decayed(), 10 * kMomentBlock);
  EXPECT_EQ(state.first_scales().numel(), 11);
  EXPECT_EQ(state.first_moment().element_size(), 1U);
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
