// SPDX-License-Identifier: Apache-2.0
#include "dblocks/nn/attention.h"

#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>

#include <cmath>
#include <vector>

#include "dblocks/ops/dropout.h"

namespace dblocks::nn {
namespace {

/// Attention with dropout on the probabilities. LibTorch's own, on a CPU, keeps
/// a mask and draws it one number after another.
/// *Shapes*: q, k, v, result: [N, H, T, K].
at::Tensor attend_with_dropout(const at::Tensor& q,
                               const at::Tensor& k,
                               const at::Tensor& v,
                               double dropout) {
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(-1)));
  const at::Tensor probabilities =
      at::softmax(at::matmul(q * scale, k.transpose(-2, -1)), -1);
  return at::matmul(ops::dropout(probabilities, dropout), v);
}

}  // namespace

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

at::Tensor SelfAttention::attend(const at::Tensor& q,
                                 const at::Tensor& k,
                                 const at::Tensor& v) const {
  const double dropout = is_training() ? dropout_ : 0.0;
  const at::Tensor mixed =
      dropout > 0 && q.is_cpu()
          ? attend_with_dropout(q, k, v, dropout)
          : at::scaled_dot_product_attention(q, k, v, {}, dropout);
  return output_->forward(mixed.transpose(1, 2).flatten(2));
}

at::Tensor SelfAttention::forward(const at::Tensor& x) const {
  const int64_t samples = x.size(0), tokens = x.size(1), width = x.size(2);
  // Taken apart at once: going backward, three gradients are then put together
  // in one pass instead of added up as three tensors of mostly zeros.
  const std::vector<at::Tensor> qkv =
      qkv_->forward(x)
          .view({samples, tokens, 3, heads_, width / heads_})
          .unbind(2);  // [N, T, H, K] each
  return attend(qkv[0].transpose(1, 2), qkv[1].transpose(1, 2),
                qkv[2].transpose(1, 2));
}

at::Tensor SelfAttention::forward_first_token(const at::Tensor& x) const {
  const int64_t samples = x.size(0), tokens = x.size(1), width = x.size(2);
  const at::Tensor q = qkv_->forward_part(x.narrow(1, 0, 1), 0, width)
                           .view({samples, 1, heads_, width / heads_})
                           .transpose(1, 2);  // [N, H, 1, K]
  const std::vector<at::Tensor> kv =
      qkv_->forward_part(x, width, 2 * width)
          .view({samples, tokens, 2, heads_, width / heads_})
          .unbind(2);
  return attend(q, kv[0].transpose(1, 2), kv[1].transpose(1, 2));
}

}  // namespace dblocks::nn
