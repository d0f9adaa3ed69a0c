// SPDX-License-Identifier: Apache-2.0
#include "dblocks/ops/matmul.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "dblocks/ops/matmul_kernel.h"

namespace dblocks::ops::internal {
namespace {

at::Tensor multiplied(const at::Tensor& a,
                      const at::Tensor& b,
                      const at::Tensor& bias = {}) {
  at::Tensor c = at::full({a.size(0), b.size(1)}, NAN);
  matmul(a, b, bias, c);
  return c;
}

class MatmulTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_matmul_kernel()) {
      GTEST_SKIP() << "this CPU has no AVX2";
    }
    at::manual_seed(3);
  }
  void TearDown() override { at::set_num_threads(before_); }

  int before_ = at::get_num_threads();
};

TEST_F(MatmulTest, AgreesWithFloat64AtSizesThatFillNoTile) {
  for (const int64_t m : {1, 5, 6, 7, 47, 145, 300}) {
    for (const int64_t n : {1, 15, 16, 17, 31, 530}) {
      for (const int64_t k : {1, 7, 8, 9, 383, 384, 385, 1300}) {
        const at::Tensor a = at::randn({m, k}), b = at::randn({k, n});
        const at::Tensor bias = at::randn({n});
        const at::Tensor expected =
            at::mm(a.to(at::kDouble), b.to(at::kDouble));
        // Relative to the terms: few of them may cancel.
        const double tolerance = 1e-6 * static_cast<double>(k + 10);
        EXPECT_LT((multiplied(a, b) - expected).abs().max().item<double>(),
                  tolerance)
            << m << " x " << n << " x " << k;
        EXPECT_LT((multiplied(a, b, bias) - (expected + bias))
                      .abs()
                      .max()
                      .item<double>(),
                  tolerance)
            << m << " x " << n << " x " << k << " with a bias";
      }
    }
  }
}

TEST_F(MatmulTest, TakesOperandsInAnyLayout) {
  using Layout = std::function<at::Tensor(const at::Tensor&)>;
  // The last two repeat the first row or column of their argument.
  const std::vector<Layout> layouts = {
      [](const at::Tensor& x) { return x; },
      [](const at::Tensor& x) { return x.t().contiguous().t(); },
      [](const at::Tensor& x) {
        at::Tensor wide = at::empty({x.size(0) + 3, x.size(1) + 5});
        return wide.narrow(0, 2, x.size(0)).narrow(1, 3, x.size(1)).copy_(x);
      },
      [](const at::Tensor& x) {
        at::Tensor spread = at::empty({x.size(0), x.size(1), 2});
        return spread.select(2, 1).copy_(x);
      },
      [](const at::Tensor& x) {
        return x.narrow(0, 0, 1).clone().expand(x.sizes());
      },
      [](const at::Tensor& x) {
        return x.narrow(1, 0, 1).clone().expand(x.sizes());
      }};
  const at::Tensor a = at::randn({151, 403}), b = at::randn({403, 85});
  for (size_t i = 0; i < layouts.size(); ++i) {
    for (size_t j = 0; j < layouts.size(); ++j) {
      const at::Tensor x = layouts[i](a), y = layouts[j](b);
      EXPECT_TRUE(at::equal(multiplied(x, y),
                            multiplied(x.contiguous(), y.contiguous())))
          << "layouts " << i << " and " << j;
    }
  }
}

TEST_F(MatmulTest, NoBitDependsOnThreadsOrOnWhatIsBeside) {
  const at::Tensor a = at::randn({500, 900}), b = at::randn({900, 700});
  at::set_num_threads(1);
  const at::Tensor whole = multiplied(a, b);
  for (const int threads : {2, 3, 5}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(at::equal(multiplied(a, b), whole)) << threads << " threads";
  }
  EXPECT_TRUE(
      at::equal(multiplied(a.narrow(0, 123, 77), b), whole.narrow(0, 123, 77)));
  EXPECT_TRUE(at::equal(multiplied(a, b.narrow(1, 391, 101)),
                        whole.narrow(1, 391, 101)));
}

TEST_F(MatmulTest, WritesItsElementsAndNoOthers) {
  const at::Tensor a = at::randn({13, 20}), b = at::randn({20, 19});
  constexpr float kUntouched = 7.0f;
  const at::Tensor memory = at::full({32 + 13 * 19 + 32}, kUntouched);
  matmul(a, b, {}, memory.narrow(0, 32, 13 * 19).view({13, 19}));
  EXPECT_TRUE(memory.narrow(0, 0, 32).eq(kUntouched).all().item<bool>());
  EXPECT_TRUE(
      memory.narrow(0, 32 + 13 * 19, 32).eq(kUntouched).all().item<bool>());
}

TEST_F(MatmulTest, PassesOnWhatIsNotFinite) {
  at::Tensor a = at::randn({64, 40});
  const at::Tensor b = at::randn({40, 50});
  a[7][3] = INFINITY;
  a[9][0] = NAN;
  const at::Tensor c = multiplied(a, b);
  EXPECT_TRUE(c[7].isinf().all().item<bool>());
  EXPECT_TRUE(c[9].isnan().all().item<bool>());
  EXPECT_TRUE(c[8].isfinite().all().item<bool>());
}

}  // namespace
}  // namespace dblocks::ops::internal
