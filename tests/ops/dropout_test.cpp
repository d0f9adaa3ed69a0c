// SPDX-License-Identifier: Apache-2.0
#include "dblocks/ops/dropout.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "dblocks/core/batch_part.h"
#include "dblocks/ops/dropout_kernel.h"
#include "dblocks/ops/philox_kernel.h"
#include "tests/ops/twin.h"

namespace dblocks::ops {
namespace {

at::Tensor drop_ones(const std::vector<int64_t>& shape,
                     double p,
                     uint64_t seed) {
  at::manual_seed(seed);
  return ops::dropout(at::ones(shape), p);
}

TEST(DropoutTest, DropsTheShareAskedForAndKeepsTheMean) {
  constexpr int64_t count = 1000003;
  for (const double p : {0.1, 0.5, 0.9}) {
    const at::Tensor y = drop_ones({count}, p, 1);
    const double kept = y.ne(0).to(at::kDouble).mean().item<double>();
    EXPECT_NEAR(kept, 1 - p, 5 * std::sqrt(p * (1 - p) / count));
    EXPECT_FLOAT_EQ(y.max().item<float>(), static_cast<float>(1 / (1 - p)));
  }
}

TEST(DropoutTest, NeighboursAndCallsAreIndependent) {
  const at::Tensor first = drop_ones({1 << 20}, 0.5, 2).ne(0).to(at::kDouble);
  const at::Tensor second = ops::dropout(at::ones({1 << 20}), 0.5).ne(0);
  const auto agreement = [](const at::Tensor& a, const at::Tensor& b) {
    return a.eq(b).to(at::kDouble).mean().item<double>();
  };
  EXPECT_NEAR(agreement(first, second), 0.5, 0.0025);
  for (const int64_t lag : {1, 2, 16, 64, 1024}) {
    const int64_t rest = (1 << 20) - lag;
    EXPECT_NEAR(agreement(first.narrow(0, 0, rest), first.narrow(0, lag, rest)),
                0.5, 0.0025)
        << "lag " << lag;
  }
}

TEST(DropoutTest, TheBackwardPassUsesTheSameMask) {
  at::manual_seed(3);
  const at::Tensor x = at::randn({37, 101}).requires_grad_();
  const at::Tensor y = ops::dropout(x, 0.3);
  const at::Tensor upstream = at::randn({37, 101});
  const at::Tensor g = torch::autograd::grad({y}, {x}, {upstream}).front();
  const at::Tensor mask = y.ne(0).to(at::kFloat) / 0.7;
  EXPECT_LT(testing::relative_difference(g, upstream * mask), 1e-6);
}

TEST(DropoutTest, IsAFunctionOfTheSeedWhateverTheThreads) {
  at::set_num_threads(1);
  const at::Tensor one = drop_ones({64, 65, 131}, 0.1, 4);
  at::set_num_threads(2);
  EXPECT_TRUE(at::equal(one, drop_ones({64, 65, 131}, 0.1, 4)));
  EXPECT_FALSE(at::equal(one, drop_ones({64, 65, 131}, 0.1, 5)));
}

TEST(DropoutTest, Bfloat16DropsTheSameElements) {
  at::manual_seed(6);
  const at::Tensor wide = ops::dropout(at::ones({1000}), 0.4);
  at::manual_seed(6);
  const at::Tensor narrow =
      ops::dropout(at::ones({1000}).to(at::kBFloat16), 0.4);
  EXPECT_TRUE(at::equal(wide.ne(0), narrow.ne(0)));
}

TEST(DropoutTest, PartsOfABatchDropWhatTheWholeDrops) {
  // 3 x 37 numbers a sample: parts start inside a group.
  at::manual_seed(8);
  const at::Tensor x = at::randn({10, 3, 37});
  at::manual_seed(9);
  const at::Tensor whole = ops::dropout(x, 0.4);
  for (const auto& [first, count] :
       {std::pair(0, 4), std::pair(4, 5), std::pair(9, 1)}) {
    const BatchPartGuard part({.first = first, .count = count});
    at::manual_seed(9);
    const at::Tensor own = x.narrow(0, first, count).clone().requires_grad_();
    const at::Tensor y = ops::dropout(own, 0.4);
    EXPECT_TRUE(at::equal(y, whole.narrow(0, first, count))) << first;
    y.backward(at::ones(y.sizes()));
    EXPECT_TRUE(at::equal(own.grad().ne(0), y.ne(0))) << first;
  }
  EXPECT_EQ(current_batch_part(), BatchPart());
}

TEST(DropoutTest, WordsMadeInVectorsAreThoseOfTheTwin) {
  using Words = std::array<uint32_t, internal::kPhiloxWords>;
  constexpr int64_t kCarry = int64_t{1} << 28;  // 16 of them pass 2^32
  for (const int64_t group :
       {int64_t{0}, int64_t{77}, kCarry - 1, kCarry, (int64_t{1} << 40) + 5}) {
    for (const uint64_t key : {0ull, ~0ull, 0x123456789abcdefull}) {
      Words words, twin;
      internal::philox_words(key, group, words.data());
      internal::philox_words_plain(key, group, twin.data());
      EXPECT_EQ(words, twin) << group << " " << key;
    }
  }
}

TEST(DropoutTest, TheKernelDrawsPhiloxWords) {
  // Philox4x32-10 of counter 0 and key 0: the first words of the generator's
  // published known answers.
  const std::vector<float> ones(internal::kDropoutGroup, 1.0f);
  std::vector<float> y(ones.size());
  const auto is_kept = [&](uint32_t threshold, size_t i) {
    internal::drop({0, threshold, 1.0f}, 0, internal::kDropoutGroup,
                   ones.data(), y.data());
    return y[i] != 0;
  };
  const std::vector<std::pair<size_t, uint32_t>> known = {
      {0, 0x6627e8d5}, {16, 0xe169c58d}, {32, 0xbc57ac4c}, {48, 0x9b00dbd8}};
  for (const auto& [index, word] : known) {
    EXPECT_TRUE(is_kept(word, index));
    EXPECT_FALSE(is_kept(word + 1, index));
  }
}

}  // namespace
}  // namespace dblocks::ops
