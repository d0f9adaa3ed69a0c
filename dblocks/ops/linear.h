// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace dblocks::ops {

/// y = x W^T + b. In float32 on an AMD processor with AVX2 large products, of y
/// and of both gradients, are our own (ops/matmul.h): MKL, which LibTorch
/// takes, is slower there. Everything else is linear_composed. *Shapes*: x:
/// [..., in]; weight: [out, in]; bias: [out]; y: [..., out].
at::Tensor linear(const at::Tensor& x,
                  const at::Tensor& weight,
                  const at::Tensor& bias);

/// The readable twin: LibTorch's operation.
at::Tensor linear_composed(const at::Tensor& x,
                           const at::Tensor& weight,
                           const at::Tensor& bias);

/// The product of two matrices as linear and its gradients take it, or of two
/// batches of them by LibTorch, without a graph; to measure a machine with.
/// *Shapes*: a: [..., m, k]; b: [..., k, n]; result: [..., m, n].
at::Tensor product(const at::Tensor& a, const at::Tensor& b);

}  // namespace dblocks::ops
