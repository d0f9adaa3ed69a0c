// SPDX-License-Identifier: Apache-2.0
#include "dblocks/nn/attention.h"

#include <ATen/ops/scaled_dot_product_attention.h>

namespace dblocks::nn {

SelfAttention::SelfAttention(int64_t width,
                             int64_t heads,
                             double dropout,
                             at::ScalarType compute)
    : heads_(heads),
      dropout_(dropout),
      qkv_(std::make_shared<Linear>(width, 3 * width, compute)),
      output_(std::make_shared<Linear>(width, width, compute)) {
  register_module("qkv", qkv_);
  register_module("output", output_);
}

at::Tensor SelfAttention::forward(const at::Tensor& x) const {
  const int64_t samples = x.size(0), tokens = x.size(1), width = x.size(2);
  const at::Tensor qkv = qkv_->forward(x)
                             .view({samples, tokens, 3, heads_, width / heads_})
                             .permute({2, 0, 3, 1, 4});  // [3, N, H, T, K]
  const at::Tensor mixed = at::scaled_dot_product_attention(
      qkv[0], qkv[1], qkv[2], {}, is_training() ? dropout_ : 0.0);
  return output_->forward(
      mixed.transpose(1, 2).reshape({samples, tokens, width}));
}

}  // namespace dblocks::nn
