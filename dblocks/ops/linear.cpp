// SPDX-License-Identifier: Apache-2.0
#include "dblocks/ops/linear.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>
#include <string_view>

namespace dblocks::ops {
namespace {

/// Multiplications from which on oneDNN gains more than a call of it costs.
constexpr int64_t kLeastMultiplications = int64_t{1} << 24;

using Product = at::Tensor(const at::Tensor&,
                           const at::Tensor&,
                           const std::optional<at::Tensor>&,
                           std::string_view,
                           c10::List<std::optional<at::Scalar>>,
                           std::optional<std::string_view>);
using ProductHandle = c10::TypedOperatorHandle<Product>;

bool is_amd() {
#if defined(__x86_64__)
  return __builtin_cpu_is("amd") != 0;
#else
  return false;
#endif
}

std::optional<ProductHandle> find_product() {
  const auto found = c10::Dispatcher::singleton().findSchema(
      {"mkldnn::_linear_pointwise", ""});
  if (!is_amd() || !found) {
    return std::nullopt;
  }
  try {
    return found->typed<Product>();
  } catch (const c10::Error&) {  // another LibTorch with another signature
    return std::nullopt;
  }
}

/// oneDNN's product; none where it is not the fastest or LibTorch has it not.
const std::optional<ProductHandle>& onednn_product() {
  static const std::optional<ProductHandle> product = find_product();
  return product;
}

at::Tensor product(const at::Tensor& x,
                   const at::Tensor& weight,
                   const std::optional<at::Tensor>& bias) {
  return onednn_product()->call(x, weight, bias, "none",
                                c10::List<std::optional<at::Scalar>>(), "");
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
    return product(x, weight, bias);
  }

  static torch::autograd::tensor_list backward(
      torch::autograd::AutogradContext* context,
      const torch::autograd::tensor_list& gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor gradient = rows_of(gradients[0]);
    torch::autograd::tensor_list result(3);
    if (context->needs_input_grad(0)) {
      result[0] = product(gradient, saved[1].t(), std::nullopt).view(x.sizes());
    }
    if (context->needs_input_grad(1)) {  // MKL is the faster one of these
      result[1] = at::mm(gradient.t(), rows_of(x));
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
  const bool is_large = x.numel() * weight.size(0) >= kLeastMultiplications;
  if (!x.is_cpu() || x.scalar_type() != at::kFloat || !is_large ||
      c10::InferenceMode::is_enabled() || !onednn_product()) {
    return linear_composed(x, weight, bias);
  }
  return Linear::apply(x, weight, bias);
}

at::Tensor linear_composed(const at::Tensor& x,
                           const at::Tensor& weight,
                           const at::Tensor& bias) {
  return at::linear(x, weight, bias);
}

}  // namespace dblocks::ops
