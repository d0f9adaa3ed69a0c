// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <memory>

#include "dblocks/nn/linear.h"

namespace dblocks::nn {

/// Multi-head self-attention over all tokens, scaled by 1 / sqrt(K), with
/// biases on every projection. Dropout, when training, falls on the attention
/// probabilities.
class SelfAttention : public torch::nn::Module {
 public:
  /// Requires: heads divides width.
  SelfAttention(int64_t width,
                int64_t heads,
                double dropout,
                at::ScalarType compute);

  /// *Shapes*: x: [N, T, D]; result: [N, T, D].
  at::Tensor forward(const at::Tensor& x) const;

  /// The first token of forward(x), without the work for the others: they give
  /// keys and values only. *Shapes*: x: [N, T, D]; result: [N, 1, D].
  at::Tensor forward_first_token(const at::Tensor& x) const;

 private:
  at::Tensor attend(const at::Tensor& q,
                    const at::Tensor& k,
                    const at::Tensor& v) const;

  int64_t heads_;
  double dropout_;
  std::shared_ptr<Linear> qkv_;  // rows: queries, keys, values
  std::shared_ptr<Linear> output_;
};

}  // namespace dblocks::nn
