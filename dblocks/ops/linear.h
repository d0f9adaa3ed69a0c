// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace dblocks::ops {

/// y = x W^T + b. In float32 on an AMD processor large products, of y and of
/// the gradient of x, are oneDNN's, which LibTorch has within it: MKL, which it
/// takes there itself, is slower (docs/results.md). Everything else is
/// linear_composed, and so is everything in inference mode: oneDNN may add in
/// an order that depends on the number of threads, and samples do not.
/// *Shapes*: x: [..., in]; weight: [out, in]; bias: [out]; y: [..., out].
at::Tensor linear(const at::Tensor& x,
                  const at::Tensor& weight,
                  const at::Tensor& bias);

/// The readable twin: LibTorch's operation.
at::Tensor linear_composed(const at::Tensor& x,
                           const at::Tensor& weight,
                           const at::Tensor& bias);

}  // namespace dblocks::ops
