// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/nn/module.h>

#include <cstdint>

namespace dblocks::nn {

/// y = x W^T + b, multiplied in `compute` (float32 or bfloat16) with float32
/// weights. The result has the type `compute`.
/// *Shapes*: x: [..., in]; weight: [out, in]; bias: [out]; y: [..., out].
class Linear : public torch::nn::Module {
 public:
  Linear(int64_t in, int64_t out, at::ScalarType compute);

  at::Tensor forward(const at::Tensor& x) const;

  /// The outputs first .. first + count - 1 only. *Shapes*: y: [..., count].
  at::Tensor forward_part(const at::Tensor& x,
                          int64_t first,
                          int64_t count) const;

  at::Tensor weight, bias;

 private:
  at::ScalarType compute_;
};

/// LayerNorm's gain and offset; normalisation itself is ops::norm_modulate.
/// Where they are not trained they are ones and zeros and no parameters.
class NormParameters : public torch::nn::Module {
 public:
  explicit NormParameters(int64_t width, bool trained = true);

  at::Tensor weight, bias;  // [D]
};

}  // namespace dblocks::nn
