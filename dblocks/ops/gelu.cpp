// SPDX-License-Identifier: Apache-2.0
#include "dblocks/ops/gelu.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "dblocks/ops/gelu_kernel.h"

namespace dblocks::ops {
namespace {

constexpr int64_t kGrain = 32768;

enum class Form { kExact, kTanh };

template <Form form, class Element>
void run_kernel(const at::Tensor& x, at::Tensor& value, at::Tensor& slope) {
  const auto* in = static_cast<const Element*>(x.const_data_ptr());
  auto* out = static_cast<Element*>(value.mutable_data_ptr());
  auto* derivative = static_cast<Element*>(slope.mutable_data_ptr());
  at::parallel_for(0, x.numel(), kGrain, [&](int64_t begin, int64_t end) {
    if constexpr (form == Form::kExact) {
      internal::gelu_with_slope(in + begin, out + begin, derivative + begin,
                                end - begin);
    } else {
      internal::gelu_tanh_with_slope(in + begin, out + begin,
                                     derivative + begin, end - begin);
    }
  });
}

template <Form form>
class Gelu : public torch::autograd::Function<Gelu<form>> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context,
                            const at::Tensor& x) {
    const at::Tensor dense = x.contiguous();
    at::Tensor value = at::empty_like(dense), slope = at::empty_like(dense);
    if (dense.scalar_type() == at::kFloat) {
      run_kernel<form, float>(dense, value, slope);
    } else {
      run_kernel<form, uint16_t>(dense, value, slope);
    }
    context->save_for_backward({slope});
    return value;
  }

  static torch::autograd::tensor_list backward(
      torch::autograd::AutogradContext* context,
      const torch::autograd::tensor_list& gradients) {
    // The slope is not needed again and takes the product: at the peak of a
    // step this is the largest tensor. A second backward pass over the same
    // graph is an error of LibTorch's, since the saved tensor has changed.
    at::Tensor slope = context->get_saved_variables()[0];
    return {slope.mul_(gradients[0])};
  }
};

/// Whether the kernel serves: a graph is wanted, of a type that it knows.
bool takes_kernel(const at::Tensor& x) {
  const bool has_kernel = x.is_cpu() && (x.scalar_type() == at::kFloat ||
                                         x.scalar_type() == at::kBFloat16);
  return has_kernel && c10::GradMode::is_enabled() && x.requires_grad();
}

}  // namespace

at::Tensor gelu_composed(const at::Tensor& x) {
  return at::gelu(x);
}

at::Tensor gelu_tanh_composed(const at::Tensor& x) {
  return at::gelu(x, "tanh");
}

at::Tensor gelu(const at::Tensor& x) {
  return takes_kernel(x) ? Gelu<Form::kExact>::apply(x) : gelu_composed(x);
}

at::Tensor gelu_tanh(const at::Tensor& x) {
  return takes_kernel(x) ? Gelu<Form::kTanh>::apply(x) : gelu_tanh_composed(x);
}

}  // namespace dblocks::ops
