// SPDX-License-Identifier: Apache-2.0
#include "dblocks/ops/residual.h"

#include <ATen/ops/addcmul.h>
#include <ATen/ops/layer_norm.h>

namespace dblocks::ops {

at::Tensor norm_modulate(const at::Tensor& x,
                         const at::Tensor& weight,
                         const at::Tensor& bias,
                         double eps,
                         const at::Tensor& shift,
                         const at::Tensor& scale) {
  const at::Tensor normal = at::layer_norm(x, {x.size(-1)}, weight, bias, eps);
  if (!scale.defined()) {
    return normal;
  }
  return at::addcmul(shift.unsqueeze(-2), normal, (scale + 1).unsqueeze(-2));
}

at::Tensor gated_residual(const at::Tensor& h,
                          const at::Tensor& branch,
                          const at::Tensor& gate) {
  const at::Tensor wide = branch.to(at::kFloat);
  if (!gate.defined()) {
    return h + wide;
  }
  return at::addcmul(h, gate.unsqueeze(-2), wide);
}

}  // namespace dblocks::ops
