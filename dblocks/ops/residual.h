// SPDX-License-Identifier: Apache-2.0
// The element-wise operations around a residual branch.
#pragma once

#include <ATen/core/Tensor.h>

namespace dblocks::ops {

/// LayerNorm over the last dimension, then modulation per sample:
/// y = (norm(x) * weight + bias) * (1 + scale) + shift.
/// *Shapes*: x: [N, T, D] float32; weight, bias: [D]; shift, scale: [N, D] or
/// undefined (no modulation).
at::Tensor norm_modulate(const at::Tensor& x,
                         const at::Tensor& weight,
                         const at::Tensor& bias,
                         double eps,
                         const at::Tensor& shift,
                         const at::Tensor& scale);

/// h + gate * branch. *Shapes*: h, branch: [N, T, D]; gate: [N, D], or
/// undefined (plain residual). The result is float32 whatever the branch's
/// type.
at::Tensor gated_residual(const at::Tensor& h,
                          const at::Tensor& branch,
                          const at::Tensor& gate);

}  // namespace dblocks::ops
