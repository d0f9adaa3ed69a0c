// SPDX-License-Identifier: Apache-2.0
// Operations on a CPU are shared among LibTorch's threads, and no bit of them
// depends on how many there are.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "dblocks/ops/dropout.h"
#include "dblocks/ops/gelu.h"
#include "dblocks/ops/linear.h"
#include "dblocks/ops/residual.h"

namespace dblocks::ops {
namespace {

class ThreadsTest : public ::testing::Test {
 protected:
  void TearDown() override { at::set_num_threads(before_); }

  int before_ = at::get_num_threads();
};

TEST_F(ThreadsTest, LoopsRunOnAllThreads) {
  at::set_num_threads(2);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  at::parallel_for(0, 2, 1, [&](int64_t, int64_t) {
    const std::scoped_lock lock(mutex);
    threads.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(threads.size(), 2u);
}

/// Results and derivatives of every fused operation.
std::vector<at::Tensor> all_operations(at::ScalarType type) {
  at::manual_seed(5);
  const auto leaf = [](at::IntArrayRef shape, at::ScalarType of) {
    return at::randn(shape).to(of).requires_grad_();
  };
  // No multiple of a vector, enough for several threads.
  const at::Tensor x = leaf({7, 37, 203}, at::kFloat);
  const at::Tensor branch = leaf({7, 37, 203}, type);
  const at::Tensor weight = leaf({203}, at::kFloat);
  const at::Tensor bias = leaf({203}, at::kFloat);
  const at::Tensor shift = leaf({7, 203}, at::kFloat);
  const at::Tensor scale = leaf({7, 203}, at::kFloat);
  const at::Tensor wide = leaf({7, 37, 812}, type);
  std::vector<at::Tensor> found;
  const auto take = [&](const at::Tensor& result,
                        const std::vector<at::Tensor>& inputs) {
    found.push_back(result.detach());
    const at::Tensor gradient = at::randn(result.sizes()).to(result.dtype());
    for (const at::Tensor& derivative :
         torch::autograd::grad({result}, inputs, {gradient})) {
      found.push_back(derivative);
    }
  };
  take(norm_modulate(x, weight, bias, 1e-6, shift, scale, type),
       {x, weight, bias, shift, scale});
  take(gated_residual(x, branch, scale), {x, branch, scale});
  take(ops::gelu(wide), {wide});
  take(ops::gelu_tanh(wide), {wide});
  take(ops::dropout(wide, 0.3), {wide});
  if (type == at::kFloat) {  // in bfloat16 it is LibTorch's
    const at::Tensor projection = leaf({101, 812}, at::kFloat);
    const at::Tensor offset = leaf({101}, at::kFloat);
    take(ops::linear(wide, projection, offset), {wide, projection, offset});
  }
  return found;
}

TEST_F(ThreadsTest, NoBitDependsOnTheirNumber) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    at::set_num_threads(1);
    const std::vector<at::Tensor> alone = all_operations(type);
    for (const int threads : {2, 3, 5}) {
      at::set_num_threads(threads);
      const std::vector<at::Tensor> shared = all_operations(type);
      ASSERT_EQ(shared.size(), alone.size());
      for (size_t i = 0; i < alone.size(); ++i) {
        EXPECT_TRUE(shared[i].equal(alone[i]))
            << "result " << i << " of " << threads << " threads";
      }
    }
  }
}

}  // namespace
}  // namespace dblocks::ops
