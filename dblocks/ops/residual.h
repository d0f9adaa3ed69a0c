// SPDX-License-Identifier: Apache-2.0
// The element-wise operations around a residual branch.
#pragma once

#include <ATen/core/Tensor.h>

namespace dblocks::ops {

/// LayerNorm over the last dimension, then modulation per sample:
/// y = (norm(x) * weight + bias) * (1 + scale) + shift.
/// This is one pass over x, and another one going backward (on CUDA two); of
/// activations only x itself and two numbers a row are kept.
/// *Shapes*: x: [N, T, D] or [N, D] float32; weight, bias: [D]; shift, scale:
/// [N, D] or undefined (no modulation); y has the given type, float32 or
/// bfloat16.
at::Tensor norm_modulate(const at::Tensor& x,
                         const at::Tensor& weight,
                         const at::Tensor& bias,
                         double eps,
                         const at::Tensor& shift,
                         const at::Tensor& scale,
                         at::ScalarType type = at::kFloat);

/// h + gate * branch, in one pass. *Shapes*: h, branch: [N, T, D];
/// gate: [N, D], or undefined (plain residual). h and the result are float32,
/// the branch is float32 or bfloat16.
at::Tensor gated_residual(const at::Tensor& h,
                          const at::Tensor& branch,
                          const at::Tensor& gate);

/// The readable twins, of LibTorch's own operations; they also serve CUDA
/// devices where our kernels for these are missing.
at::Tensor norm_modulate_composed(const at::Tensor& x,
                                  const at::Tensor& weight,
                                  const at::Tensor& bias,
                                  double eps,
                                  const at::Tensor& shift,
                                  const at::Tensor& scale,
                                  at::ScalarType type = at::kFloat);
at::Tensor gated_residual_composed(const at::Tensor& h,
                                   const at::Tensor& branch,
                                   const at::Tensor& gate);

}  // namespace dblocks::ops
