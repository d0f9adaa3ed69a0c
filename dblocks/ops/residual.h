// SPDX-License-Identifier: Apache-2.0
// The element-wise operations around a residual branch.
#pragma once

#include <ATen/core/Tensor.h>

namespace dblocks::ops {

/// LayerNorm over the last dimension, then modulation per sample:
/// y = (norm(x) * weight + bias) * (1 + scale) + shift.
/// On a CPU this is one pass over x, and another one going backward; of
/// activations only x itself and two numbers a row are kept.
/// *Shapes*: x: [N, T, D] or [N, D] float32; weight, bias: [D]; shift, scale:
/// [N, D] or undefined (no modulation).
at::Tensor norm_modulate(const at::Tensor& x,
                         const at::Tensor& weight,
                         const at::Tensor& bias,
                         double eps,
                         const at::Tensor& shift,
                         const at::Tensor& scale);

/// h + gate * branch, in one pass on a CPU. *Shapes*: h, branch: [N, T, D];
/// gate: [N, D], or undefined (plain residual). h and the result are float32,
/// the branch is float32 or bfloat16.
at::Tensor gated_residual(const at::Tensor& h,
                          const at::Tensor& branch,
                          const at::Tensor& gate);

/// The readable twins, of LibTorch's own operations.
at::Tensor norm_modulate_composed(const at::Tensor& x,
                                  const at::Tensor& weight,
                                  const at::Tensor& bias,
                                  double eps,
                                  const at::Tensor& shift,
                                  const at::Tensor& scale);
at::Tensor gated_residual_composed(const at::Tensor& h,
                                   const at::Tensor& branch,
                                   const at::Tensor& gate);

}  // namespace dblocks::ops
