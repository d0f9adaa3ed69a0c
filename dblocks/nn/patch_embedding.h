// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/nn/module.h>

#include <cstdint>

namespace dblocks::nn {

/// Cuts an image into square patches and projects each: a convolution whose
/// kernel and stride are the patch, done as one matrix multiplication.
/// *Shapes*: images: [N, C, Y, X]; weight: [D, C, P, P]; result: [N, T, D] with
/// T = (Y / P) (X / P), patches in row-major order. Computed in `compute`,
/// returned in float32.
class PatchEmbedding : public torch::nn::Module {
 public:
  PatchEmbedding(int64_t channels,
                 int64_t patch,
                 int64_t width,
                 at::ScalarType compute);

  at::Tensor forward(const at::Tensor& images) const;

  at::Tensor weight, bias;

 private:
  int64_t patch_;
  at::ScalarType compute_;
};

}  // namespace dblocks::nn
