// SPDX-License-Identifier: Apache-2.0
#include "dblocks/nn/patch_embedding.h"

#include <ATen/ops/zeros.h>

#include "dblocks/ops/linear.h"

namespace dblocks::nn {

PatchEmbedding::PatchEmbedding(int64_t channels,
                               int64_t patch,
                               int64_t width,
                               at::ScalarType compute)
    : patch_(patch), compute_(compute) {
  weight =
      register_parameter("weight", at::zeros({width, channels, patch, patch}));
  bias = register_parameter("bias", at::zeros({width}));
}

at::Tensor PatchEmbedding::forward(const at::Tensor& images) const {
  const int64_t samples = images.size(0), channels = images.size(1);
  const int64_t rows = images.size(2) / patch_,
                columns = images.size(3) / patch_;
  const at::Tensor patches =
      images.view({samples, channels, rows, patch_, columns, patch_})
          .permute({0, 2, 4, 1, 3, 5})  // [N, rows, columns, C, P, P]
          .reshape({samples, rows * columns, channels * patch_ * patch_});
  return ops::linear(patches.to(compute_), weight.flatten(1).to(compute_),
                     bias.to(compute_))
      .to(at::kFloat);
}

}  // namespace dblocks::nn
