// SPDX-License-Identifier: Apache-2.0
#include "dblocks/ops/gelu.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "dblocks/ops/cuda/plugin.h"
#include "dblocks/ops/gelu_kernel.h"

namespace dblocks::ops {
namespace {

constexpr int64_t kGrain = 32768;

enum class Form { kExact, kTanh };

template <Form form, class Element>
void value_and_slope(const Element* in,
                     Element* value,
                     Element* slope,
                     int64_t count) {
  if constexpr (form == Form::kExact) {
    internal::gelu_with_slope(in, value, slope, count);
  } else {
    internal::gelu_tanh_with_slope(in, value, slope, count);
  }
}

template <Form form, class Element>
void run_kernel(const at::Tensor& x, at::Tensor& value, at::Tensor& slope) {
  const auto* in = static_cast<const Element*>(x.const_data_ptr());
  auto* out = static_cast<Element*>(value.mutable_data_ptr());
  auto* derivative = static_cast<Element*>(slope.mutable_data_ptr());
  at::parallel_for(0, x.numel(), kGrain, [&](int64_t begin, int64_t end) {
    value_and_slope<form>(in + begin, out + begin, derivative + begin,
                          end - begin);
  });
}

/// The value alone from the same kernel, so that a pass without a graph gives
/// the bits of one with: recomputed layers are run once in each way.
template <Form form, class Element>
void run_value_kernel(const at::Tensor& x, at::Tensor& value) {
  const auto* in = static_cast<const Element*>(x.const_data_ptr());
  auto* out = static_cast<Element*>(value.mutable_data_ptr());
  at::parallel_for(0, x.numel(), kGrain, [&](int64_t begin, int64_t end) {
    constexpr int64_t kScratch = 1024;
    Element slope[kScratch];
    for (int64_t i = begin; i < end; i += kScratch) {
      value_and_slope<form>(in + i, out + i, slope,
                            std::min(kScratch, end - i));
    }
  });
}

/// The value and, unless null, the slope, on the device of `x`.
template <Form form>
void run(const at::Tensor& x, at::Tensor& value, at::Tensor* slope) {
  if (x.is_cuda()) {
    cuda::check(cuda::kernels()->gelu(
        form == Form::kTanh, cuda::element_of(x), x.numel(), x.const_data_ptr(),
        value.mutable_data_ptr(),
        slope == nullptr ? nullptr : slope->mutable_data_ptr(),
        cuda::current_stream(x.device())));
  } else if (x.scalar_type() == at::kFloat) {
    slope == nullptr ? run_value_kernel<form, float>(x, value)
                     : run_kernel<form, float>(x, value, *slope);
  } else {
    slope == nullptr ? run_value_kernel<form, uint16_t>(x, value)
                     : run_kernel<form, uint16_t>(x, value, *slope);
  }
}

template <Form form>
at::Tensor value_of(const at::Tensor& x) {
  const at::Tensor dense = x.contiguous();
  at::Tensor value = at::empty_like(dense);
  run<form>(dense, value, nullptr);
  return value;
}

template <Form form>
class Gelu : public torch::autograd::Function<Gelu<form>> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context,
                            const at::Tensor& x) {
    const at::Tensor dense = x.contiguous();
    at::Tensor value = at::empty_like(dense), slope = at::empty_like(dense);
    run<form>(dense, value, &slope);
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

template <Form form>
at::Tensor apply(const at::Tensor& x,
                 at::Tensor (*composed)(const at::Tensor&)) {
  const bool is_known_type =
      x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16;
  const bool has_kernel = (x.is_cpu() && is_known_type) || cuda::serves(x);
  if (!has_kernel) {
    return composed(x);
  }
  const bool wants_graph = c10::GradMode::is_enabled() && x.requires_grad();
  return wants_graph ? Gelu<form>::apply(x) : value_of<form>(x);
}

}  // namespace

at::Tensor gelu_composed(const at::Tensor& x) {
  return at::gelu(x);
}

at::Tensor gelu_tanh_composed(const at::Tensor& x) {
  return at::gelu(x, "tanh");
}

at::Tensor gelu(const at::Tensor& x) {
  return apply<Form::kExact>(x, gelu_composed);
}

at::Tensor gelu_tanh(const at::Tensor& x) {
  return apply<Form::kTanh>(x, gelu_tanh_composed);
}

}  // namespace dblocks::ops
