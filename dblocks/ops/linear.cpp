// SPDX-License-Identifier: Apache-2.0
#include "dblocks/ops/linear.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

#include "dblocks/ops/matmul.h"
#include "dblocks/ops/matmul_kernel.h"

namespace dblocks::ops {
namespace {

/// From here on our product gains more than packing its operands costs.
constexpr int64_t kLeastRows = 16;
constexpr int64_t kLeastMultiplications = int64_t{1} << 20;

bool is_amd() {
#if defined(__x86_64__)
  return __builtin_cpu_is("amd") != 0;
#else
  return false;
#endif
}

bool beats_mkl() {
  static const bool result = is_amd() && internal::has_matmul_kernel();
  return result;
}

bool is_ours(const at::Tensor& x, int64_t rows, int64_t n) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && beats_mkl() &&
         rows >= kLeastRows && x.numel() * n >= kLeastMultiplications;
}

/// a b, or a b + bias. *Shapes*: a: [m, k]; b: [k, n]; bias: [n], dense, or
/// undefined.
at::Tensor our_product(const at::Tensor& a,
                       const at::Tensor& b,
                       const at::Tensor& bias) {
  at::Tensor c = at::empty({a.size(0), b.size(1)}, a.options());
  internal::matmul(a, b, bias, c);
  return c;
}

at::Tensor rows_of(const at::Tensor& x) {
  return x.reshape({-1, x.size(-1)});
}

class Linear : public torch::autograd::Function<Linear> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context,
                            const at::Tensor& x,
                            const at::Tensor& weight,
                            const at::Tensor& bias) {
    context->save_for_backward({x, weight});
    std::vector<int64_t> shape = x.sizes().vec();
    shape.back() = weight.size(0);
    return our_product(rows_of(x), weight.t(), bias.contiguous()).view(shape);
  }

  static torch::autograd::tensor_list backward(
      torch::autograd::AutogradContext* context,
      const torch::autograd::tensor_list& gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor gradient = rows_of(gradients[0]);
    torch::autograd::tensor_list result(3);
    if (context->needs_input_grad(0)) {
      result[0] = our_product(gradient, saved[1], {}).view(x.sizes());
    }
    if (context->needs_input_grad(1)) {
      result[1] = our_product(gradient.t(), rows_of(x), {});
    }
    if (context->needs_input_grad(2)) {
      result[2] = gradient.sum(0);
    }
    return result;
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x,
                  const at::Tensor& weight,
                  const at::Tensor& bias) {
  const int64_t rows = x.numel() / std::max<int64_t>(x.size(-1), 1);
  if (!is_ours(x, rows, weight.size(0))) {
    return linear_composed(x, weight, bias);
  }
  return Linear::apply(x, weight, bias);
}

at::Tensor linear_composed(const at::Tensor& x,
                           const at::Tensor& weight,
                           const at::Tensor& bias) {
  return at::linear(x, weight, bias);
}

at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  return a.dim() == 2 && is_ours(a, a.size(0), b.size(1))
             ? our_product(a, b, {})
             : at::matmul(a, b);
}

}  // namespace dblocks::ops
