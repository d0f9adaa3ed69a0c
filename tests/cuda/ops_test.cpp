// SPDX-License-Identifier: Apache-2.0
// Kernels for CUDA against LibTorch's operations in float64 on the CPU, and,
// where numbers are drawn, against the CPU's own kernels.
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <vector>

#include "dblocks/core/batch_part.h"
#include "dblocks/ops/dropout.h"
#include "dblocks/ops/gelu.h"
#include "dblocks/ops/normal_noise.h"
#include "dblocks/ops/residual.h"
#include "tests/cuda/device.h"
#include "tests/ops/twin.h"

namespace dblocks::ops {
namespace {

using testing::leaves;
using testing::Operation;
using testing::relative_difference;

constexpr double kEps = 1e-6;

class CudaOpsTest : public dblocks::testing::CudaTest {
 protected:
  /// Expects `fast` on the device to agree with `twin` in float64: values and
  /// gradients.
  void expect_same(const Operation& fast,
                   const Operation& twin,
                   std::vector<at::Tensor> inputs,
                   const at::Tensor& upstream,
                   double tolerance) const {
    const auto theirs = leaves(inputs, at::kDouble);
    for (at::Tensor& t : inputs) {
      t = t.to(cuda_).detach().clone().requires_grad_();
    }
    const at::Tensor value = fast(inputs), expected = twin(theirs);
    EXPECT_LT(relative_difference(value.cpu(), expected), tolerance);
    const auto gradients = torch::autograd::grad(
        {value}, inputs, {upstream.to(cuda_).to(value.scalar_type())});
    const auto wanted =
        torch::autograd::grad({expected}, theirs, {upstream.to(at::kDouble)});
    for (size_t i = 0; i < inputs.size(); ++i) {
      EXPECT_LT(relative_difference(gradients[i].cpu(), wanted[i]), tolerance)
          << "gradient of input " << i;
    }
  }
};

struct Shape {
  int64_t samples, tokens, width;
};
// Narrower than a warp's reach, wider, and widths that leave a rest.
constexpr Shape kShapes[] = {{3, 5, 128}, {2, 65, 192}, {4, 1, 4},
                             {5, 17, 36}, {2, 3, 1000}, {64, 65, 768}};

TEST_F(CudaOpsTest, NormModulateAgreesWithFloat64) {
  at::manual_seed(1);
  for (const auto& [n, t, d] : kShapes) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(::testing::Message() << n << " x " << t << " x " << d << " "
                                        << c10::toString(type));
      const double tolerance = type == at::kFloat ? 5e-6 : 1e-2;
      const auto fast = [type = type](const std::vector<at::Tensor>& in) {
        const bool is_modulated = in.size() > 3;
        return norm_modulate(in[0], in[1], in[2], kEps,
                             is_modulated ? in[3] : at::Tensor(),
                             is_modulated ? in[4] : at::Tensor(), type);
      };
      const auto twin = [](const std::vector<at::Tensor>& in) {
        const bool is_modulated = in.size() > 3;
        return norm_modulate_composed(
            in[0], in[1], in[2], kEps, is_modulated ? in[3] : at::Tensor(),
            is_modulated ? in[4] : at::Tensor(), at::kDouble);
      };
      const at::Tensor x = at::randn({n, t, d}) * 3 + 1;
      const at::Tensor weight = at::randn({d}) + 1, bias = at::randn({d});
      const at::Tensor upstream = at::randn({n, t, d});
      expect_same(fast, twin, {x, weight, bias}, upstream, tolerance);
      expect_same(fast, twin,
                  {x, weight, bias, at::randn({n, d}), at::randn({n, d})},
                  upstream, tolerance);
    }
  }
}

TEST_F(CudaOpsTest, TakesPartsOfAWiderModulation) {
  at::manual_seed(2);
  const auto with = [](auto norm) {
    return [norm](const std::vector<at::Tensor>& in) {
      const auto parts = in[3].chunk(3, -1);
      return norm(in, parts[0], parts[2]);
    };
  };
  expect_same(with([](const auto& in, const auto& shift, const auto& scale) {
                return norm_modulate(in[0], in[1], in[2], kEps, shift, scale);
              }),
              with([](const auto& in, const auto& shift, const auto& scale) {
                return norm_modulate_composed(in[0], in[1], in[2], kEps, shift,
                                              scale, at::kDouble);
              }),
              {at::randn({4, 9, 32}), at::randn({32}), at::randn({32}),
               at::randn({4, 96})},
              at::randn({4, 9, 32}), 5e-6);
}

TEST_F(CudaOpsTest, GatedResidualAgreesWithFloat64) {
  at::manual_seed(3);
  for (const auto& [n, t, d] : kShapes) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const auto fast = [type = type](const std::vector<at::Tensor>& in) {
        return gated_residual(in[0], in[1].to(type), in[2]);
      };
      const auto twin = [](const std::vector<at::Tensor>& in) {
        return in[0] + in[2].unsqueeze(1) * in[1];
      };
      expect_same(
          fast, twin,
          {at::randn({n, t, d}), at::randn({n, t, d}), at::randn({n, d})},
          at::randn({n, t, d}), type == at::kFloat ? 3e-6 : 1e-2);
    }
  }
}

TEST_F(CudaOpsTest, GeluAgreesWithFloat64) {
  at::manual_seed(4);
  const at::Tensor x = at::randn({7, 1000}) * 4,
                   upstream = at::randn({7, 1000});
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const double tolerance = type == at::kFloat ? 2e-6 : 1e-2;
    const at::Tensor in = x.to(type).to(at::kFloat);
    const auto typed = [type = type](at::Tensor (*form)(const at::Tensor&)) {
      return [type, form](const std::vector<at::Tensor>& t) {
        return form(t[0].to(type));
      };
    };
    const auto plain = [](at::Tensor (*form)(const at::Tensor&)) {
      return [form](const std::vector<at::Tensor>& t) { return form(t[0]); };
    };
    expect_same(typed(gelu), plain(gelu_composed), {in}, upstream, tolerance);
    expect_same(typed(gelu_tanh), plain(gelu_tanh_composed), {in}, upstream,
                tolerance);
    const at::Tensor device = in.to(cuda_).to(type);
    EXPECT_TRUE(ops::gelu(device).equal(
        ops::gelu(device.detach().requires_grad_()).detach()));
  }
}

TEST_F(CudaOpsTest, DropoutDropsWhatTheCpuDrops) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = at::ones({6, 7, 23}).to(type);
    at::manual_seed(5);
    const at::Tensor expected = dropout(x, 0.3);
    at::manual_seed(5);
    EXPECT_TRUE(dropout(x.to(cuda_), 0.3).cpu().equal(expected));
    // A part of the batch meets its own share of the numbers.
    const BatchPartGuard part({.first = 2, .count = 3});
    at::manual_seed(5);
    EXPECT_TRUE(dropout(x.narrow(0, 2, 3).to(cuda_), 0.3)
                    .cpu()
                    .equal(expected.narrow(0, 2, 3)));
  }
}

TEST_F(CudaOpsTest, DropoutsGradientMeetsTheSameMask) {
  at::manual_seed(6);
  const at::Tensor x = at::ones({5, 100}).to(cuda_).requires_grad_();
  const at::Tensor y = dropout(x, 0.4);
  const auto gradient =
      torch::autograd::grad({y}, {x}, {at::ones({5, 100}).to(cuda_)});
  EXPECT_TRUE(gradient[0].equal(y.detach()));
}

TEST_F(CudaOpsTest, StoredKeysAreReadWhenTheKernelRuns) {
  const at::Tensor x = at::ones({1000}).to(cuda_);
  const at::Tensor keys =
      at::zeros({4}, at::TensorOptions(at::kLong).device(cuda_));
  at::manual_seed(7);
  at::Tensor expected = dropout(x, 0.5), found;
  at::manual_seed(7);
  keys.fill_(static_cast<int64_t>(draw_dropout_key()));
  {
    const StoredDropoutKeys stored(keys);
    found = dropout(x, 0.5);
    EXPECT_EQ(stored.num_used(), 1);
  }
  EXPECT_TRUE(found.equal(expected));
}

TEST_F(CudaOpsTest, NormalNoiseIsThatOfTheStream) {
  for (const int64_t count : {1, 2, 513, 100001}) {
    const StreamKey key{11, RandomPurpose::kNoise, 3, 12345};
    const at::Tensor cpu = normal_noise(key, {count}, at::kCPU);
    const at::Tensor found = normal_noise(key, {count}, cuda_).cpu();
    // The last bit of a logarithm may differ.
    EXPECT_LT((found - cpu).abs().max().item<double>(), 1e-6);
    EXPECT_GT(found.eq(cpu).to(at::kDouble).mean().item<double>(), 0.999);
  }
}

}  // namespace
}  // namespace dblocks::ops
