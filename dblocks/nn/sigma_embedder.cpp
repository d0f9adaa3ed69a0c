// SPDX-License-Identifier: Apache-2.0
#include "dblocks/nn/sigma_embedder.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/sin.h>

#include <cmath>

namespace dblocks::nn {
namespace {
constexpr int64_t kSinusoids = 256;
constexpr double kPeriod = 10000;
}  // namespace

SigmaEmbedder::SigmaEmbedder(int64_t width)
    : in_(std::make_shared<Linear>(kSinusoids, width, at::kFloat)),
      out_(std::make_shared<Linear>(width, width, at::kFloat)) {
  register_module("in", in_);
  register_module("out", out_);
}

at::Tensor SigmaEmbedder::forward(const at::Tensor& c_noise) const {
  return at::silu(embed(c_noise));
}

at::Tensor SigmaEmbedder::embed(const at::Tensor& c_noise) const {
  constexpr int64_t half = kSinusoids / 2;
  const at::Tensor frequencies = at::exp(at::arange(half, c_noise.options()) *
                                         (-std::log(kPeriod) / half));
  const at::Tensor angles = c_noise.unsqueeze(-1) * frequencies;  // [N, half]
  const at::Tensor waves = at::cat({at::cos(angles), at::sin(angles)}, -1);
  return out_->forward(at::silu(in_->forward(waves)));
}

}  // namespace dblocks::nn
