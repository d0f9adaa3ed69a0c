// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace dblocks::ops {

/// The exact GELU, x * Phi(x), of any shape in float32 or bfloat16; the result
/// has x's type. On a CPU and on CUDA, where a graph is wanted, one vectorised
/// pass gives the value and the derivative, so that the backward pass is a
/// single product and x itself need not be kept; without a graph the value has
/// the same bits. Other types, and CUDA without our kernels, take
/// gelu_composed. The normal distribution function is within 2e-7 of the exact
/// one. *Source*: Hendrycks and Gimpel 2016, arXiv 1606.08415.
at::Tensor gelu(const at::Tensor& x);

/// GELU's tanh approximation, x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715
/// x^3))), computed in the same way. *Source*: as above, section 2.
at::Tensor gelu_tanh(const at::Tensor& x);

/// The readable twins: LibTorch's own operations.
at::Tensor gelu_composed(const at::Tensor& x);
at::Tensor gelu_tanh_composed(const at::Tensor& x);

}  // namespace dblocks::ops
