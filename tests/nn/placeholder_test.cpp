// SPDX-License-Identifier: Apache-2.0
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "dblocks/nn/init.h"

namespace dblocks::nn {
namespace {

TEST(PlaceholderTest, HasAShapeAndOneElement) {
  const PlaceholderGuard guard;
  const at::Tensor placeholder = initial_zeros({1000, 1000});
  EXPECT_EQ(placeholder.sizes(), at::IntArrayRef({1000, 1000}));
  EXPECT_EQ(placeholder.storage().nbytes(), sizeof(float));
  EXPECT_EQ(placeholder.sum().item<float>(), 0);
}

TEST(PlaceholderTest, ATensorWithValuesStaysWhereItIs) {
  const at::Tensor tensor = at::ones({3, 2});
  move_placeholder(tensor, at::kMeta);
  EXPECT_TRUE(tensor.is_cpu());
  EXPECT_EQ(tensor.sum().item<float>(), 6);
}

}  // namespace
}  // namespace dblocks::nn
