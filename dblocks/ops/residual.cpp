// SPDX-License-Identifier: Apache-2.0
#include "dblocks/ops/residual.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/layer_norm.h>
#include <torch/csrc/autograd/custom_function.h>

#include <functional>

#include "dblocks/ops/cuda/plugin.h"
#include "dblocks/ops/residual_kernel.h"

namespace dblocks::ops {
namespace {

using internal::Rows;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// What makes one sample enough work for a thread of its own, in elements.
constexpr int64_t kGrainElements = 16384;

/// A [N, T, D] tensor, or a [N, D] one taken as [N, 1, D], sample by sample.
struct Samples {
  int64_t count;
  Rows shape;

  explicit Samples(const at::Tensor& x)
      : count(x.size(0)), shape{x.dim() == 3 ? x.size(1) : 1, x.size(-1)} {}

  int64_t elements() const { return shape.rows * shape.width; }

  cuda::RowShape cuda_shape() const { return {count, shape.rows, shape.width}; }

  void for_each(const std::function<void(int64_t sample)>& body) const {
    const int64_t grain = kGrainElements / (elements() + 1) + 1;
    at::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) {
      for (int64_t sample = begin; sample < end; ++sample) {
        body(sample);
      }
    });
  }
};

const float* data(const at::Tensor& tensor) {
  return tensor.const_data_ptr<float>();
}

float* mutable_data(at::Tensor& tensor) {
  return tensor.mutable_data_ptr<float>();
}

/// The vectors that the rows of one sample meet.
internal::NormParameters parameters_of(const at::Tensor& weight,
                                       const at::Tensor& bias,
                                       const at::Tensor& shift,
                                       const at::Tensor& scale,
                                       int64_t sample) {
  const int64_t at = sample * weight.numel();
  const bool is_modulated = scale.numel() > 0;
  return {data(weight), data(bias), is_modulated ? data(shift) + at : nullptr,
          is_modulated ? data(scale) + at : nullptr};
}

/// The same for all samples, as kernels for CUDA take them.
cuda::NormVectors vectors_of(const at::Tensor& weight,
                             const at::Tensor& bias,
                             const at::Tensor& shift,
                             const at::Tensor& scale) {
  const bool is_modulated = scale.numel() > 0;
  return {.weight = data(weight),
          .bias = data(bias),
          .shift = is_modulated ? data(shift) : nullptr,
          .scale = is_modulated ? data(scale) : nullptr,
          .shift_stride = is_modulated ? shift.stride(0) : 0,
          .scale_stride = is_modulated ? scale.stride(0) : 0};
}

/// LayerNorm and modulation in one pass. Only x and each row's mean and inverse
/// deviation are kept; the normalised rows are made again going backward.
class NormModulate : public torch::autograd::Function<NormModulate> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& x,
                            const at::Tensor& weight,
                            const at::Tensor& bias,
                            double eps,
                            const at::Tensor& shift,
                            const at::Tensor& scale,
                            at::ScalarType type) {
    const Samples samples(x);
    at::Tensor y = at::empty_like(x, x.options().dtype(type));
    at::Tensor moments =
        at::empty({2, samples.count, samples.shape.rows}, x.options());
    float* mean = mutable_data(moments);
    float* rstd = mean + samples.count * samples.shape.rows;
    if (x.is_cuda()) {
      cuda::check(cuda::kernels()->norm(
          samples.cuda_shape(), data(x), vectors_of(weight, bias, shift, scale),
          static_cast<float>(eps), cuda::element_of(y), y.mutable_data_ptr(),
          mean, rstd, cuda::current_stream(x.device())));
    } else {
      float* out = mutable_data(y);
      samples.for_each([&](int64_t i) {
        internal::norm_rows(
            samples.shape, data(x) + i * samples.elements(),
            parameters_of(weight, bias, shift, scale, i),
            static_cast<float>(eps), out + i * samples.elements(),
            mean + i * samples.shape.rows, rstd + i * samples.shape.rows);
      });
    }
    context->save_for_backward({x, weight, bias, shift, scale, moments});
    return y;
  }

  static tensor_list backward(AutogradContext* context,
                              const tensor_list& gradients) {
    const tensor_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &bias = saved[2],
                     &shift = saved[3], &scale = saved[4], &moments = saved[5];
    const at::Tensor dy = gradients[0].contiguous();
    const Samples samples(x);
    const float* mean = data(moments);
    const float* rstd = mean + samples.count * samples.shape.rows;
    at::Tensor dx = at::empty_like(x);
    // Per sample: sums over its rows of dy and of dy * normal.
    at::Tensor sums =
        at::empty({2, samples.count, samples.shape.width}, x.options());
    float* sum_dy = mutable_data(sums);
    float* sum_normal = sum_dy + samples.count * samples.shape.width;
    float* out = mutable_data(dx);
    if (x.is_cuda()) {
      cuda::check(cuda::kernels()->norm_backward(
          samples.cuda_shape(), cuda::element_of(dy), dy.const_data_ptr(),
          data(x), vectors_of(weight, bias, shift, scale), mean, rstd, out,
          sum_dy, sum_normal, cuda::current_stream(x.device())));
    } else {
      samples.for_each([&](int64_t i) {
        internal::norm_rows_backward(
            samples.shape, data(dy) + i * samples.elements(),
            data(x) + i * samples.elements(),
            parameters_of(weight, bias, shift, scale, i),
            mean + i * samples.shape.rows, rstd + i * samples.shape.rows,
            out + i * samples.elements(), sum_dy + i * samples.shape.width,
            sum_normal + i * samples.shape.width);
      });
    }
    const at::Tensor a = sums[0], c = sums[1];  // [N, D] each
    if (scale.numel() == 0) {
      return {dx, c.sum(0), a.sum(0), {}, {}, {}, {}};
    }
    const at::Tensor factor = scale + 1;
    return {dx,
            (c * factor).sum(0),
            (a * factor).sum(0),
            {},
            a,
            c * weight + a * bias,
            {}};
  }
};

template <class Element>
void gate_forward(const Samples& samples,
                  const at::Tensor& h,
                  const at::Tensor& branch,
                  const at::Tensor& gate,
                  at::Tensor& out) {
  const auto* in = static_cast<const Element*>(branch.const_data_ptr());
  float* to = mutable_data(out);
  samples.for_each([&](int64_t i) {
    const int64_t at = i * samples.elements();
    internal::gate_rows(samples.shape, data(h) + at, in + at,
                        data(gate) + i * samples.shape.width, to + at);
  });
}

template <class Element>
void gate_backward(const Samples& samples,
                   const at::Tensor& dy,
                   const at::Tensor& branch,
                   const at::Tensor& gate,
                   at::Tensor& dbranch,
                   at::Tensor& dgate) {
  const auto* in = static_cast<const Element*>(branch.const_data_ptr());
  auto* out = static_cast<Element*>(dbranch.mutable_data_ptr());
  float* sums = mutable_data(dgate);
  samples.for_each([&](int64_t i) {
    const int64_t at = i * samples.elements();
    const int64_t vector = i * samples.shape.width;
    internal::gate_rows_backward(samples.shape, data(dy) + at, in + at,
                                 data(gate) + vector, out + at, sums + vector);
  });
}

class GatedResidual : public torch::autograd::Function<GatedResidual> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& h,
                            const at::Tensor& branch,
                            const at::Tensor& gate) {
    const Samples samples(h);
    at::Tensor out = at::empty_like(h);
    if (h.is_cuda()) {
      cuda::check(cuda::kernels()->gate(
          samples.cuda_shape(), data(h), cuda::element_of(branch),
          branch.const_data_ptr(), data(gate), gate.stride(0),
          mutable_data(out), cuda::current_stream(h.device())));
    } else if (branch.scalar_type() == at::kFloat) {
      gate_forward<float>(samples, h, branch, gate, out);
    } else {
      gate_forward<uint16_t>(samples, h, branch, gate, out);
    }
    context->save_for_backward({branch, gate});
    return out;
  }

  static tensor_list backward(AutogradContext* context,
                              const tensor_list& gradients) {
    const tensor_list saved = context->get_saved_variables();
    const at::Tensor &branch = saved[0], &gate = saved[1];
    const at::Tensor dy = gradients[0].contiguous();
    at::Tensor dbranch = at::empty_like(branch);
    at::Tensor dgate = at::empty(gate.sizes(), gate.options());
    if (dy.is_cuda()) {
      cuda::check(cuda::kernels()->gate_backward(
          Samples(dy).cuda_shape(), data(dy), cuda::element_of(branch),
          branch.const_data_ptr(), data(gate), gate.stride(0),
          dbranch.mutable_data_ptr(), mutable_data(dgate),
          cuda::current_stream(dy.device())));
    } else if (branch.scalar_type() == at::kFloat) {
      gate_backward<float>(Samples(dy), dy, branch, gate, dbranch, dgate);
    } else {
      gate_backward<uint16_t>(Samples(dy), dy, branch, gate, dbranch, dgate);
    }
    return {dy, dbranch, dgate};
  }
};

bool has_kernel(const at::Tensor& x) {
  return (x.is_cpu() || cuda::serves(x)) && x.scalar_type() == at::kFloat &&
         x.dim() <= 3;
}

/// A vector for each sample as kernels take it. Those of the CPU want it dense;
/// those for CUDA step from sample to sample, so that parts of a wider tensor
/// are not copied.
at::Tensor per_sample(const at::Tensor& vectors) {
  const bool is_strided = cuda::serves(vectors) && vectors.dim() == 2 &&
                          vectors.stride(1) == 1 && vectors.stride(0) % 4 == 0;
  return is_strided ? vectors : vectors.contiguous();
}

}  // namespace

at::Tensor norm_modulate_composed(const at::Tensor& x,
                                  const at::Tensor& weight,
                                  const at::Tensor& bias,
                                  double eps,
                                  const at::Tensor& shift,
                                  const at::Tensor& scale,
                                  at::ScalarType type) {
  const at::Tensor normal = at::layer_norm(x, {x.size(-1)}, weight, bias, eps);
  if (!scale.defined()) {
    return normal.to(type);
  }
  return at::addcmul(shift.unsqueeze(-2), normal, (scale + 1).unsqueeze(-2))
      .to(type);
}

at::Tensor norm_modulate(const at::Tensor& x,
                         const at::Tensor& weight,
                         const at::Tensor& bias,
                         double eps,
                         const at::Tensor& shift,
                         const at::Tensor& scale,
                         at::ScalarType type) {
  if (!has_kernel(x)) {
    return norm_modulate_composed(x, weight, bias, eps, shift, scale, type);
  }
  // A function's arguments have to be defined: no modulation is an empty one.
  const auto dense = [&](const at::Tensor& tensor) {
    return tensor.defined() ? per_sample(tensor) : at::empty({0}, x.options());
  };
  // The CPU's kernel writes float32.
  const at::ScalarType written = x.is_cpu() ? at::kFloat : type;
  return NormModulate::apply(x.contiguous(), weight, bias, eps, dense(shift),
                             dense(scale), written)
      .to(type);
}

at::Tensor gated_residual_composed(const at::Tensor& h,
                                   const at::Tensor& branch,
                                   const at::Tensor& gate) {
  const at::Tensor wide = branch.to(at::kFloat);
  if (!gate.defined()) {
    return h + wide;
  }
  return at::addcmul(h, gate.unsqueeze(-2), wide);
}

at::Tensor gated_residual(const at::Tensor& h,
                          const at::Tensor& branch,
                          const at::Tensor& gate) {
  const bool is_known_type = branch.scalar_type() == at::kFloat ||
                             branch.scalar_type() == at::kBFloat16;
  if (!gate.defined() || !has_kernel(h) || !is_known_type) {
    return gated_residual_composed(h, branch, gate);
  }
  return GatedResidual::apply(h.contiguous(), branch.contiguous(),
                              per_sample(gate));
}

}  // namespace dblocks::ops
