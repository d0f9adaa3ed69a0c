// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <memory>

#include "dblocks/nn/linear.h"

namespace dblocks::nn {

/// Embeds c_noise = ln(sigma) / 4: 256 sinusoids (cosines first, frequencies
/// 10000^(-k/128)) -> Linear -> SiLU -> Linear.
/// *Shapes*: c_noise: [N] float32; results: [N, width] float32.
/// *Source*: the published DiffusionBlocks code feeds raw c_noise, without the
/// factor 1000 that diffusion code often applies to a time in [0, 1].
class SigmaEmbedder : public torch::nn::Module {
 public:
  explicit SigmaEmbedder(int64_t width);

  /// The embedding through the SiLU that every modulation starts with.
  at::Tensor forward(const at::Tensor& c_noise) const;

  /// The embedding itself, for a network that adds another to it.
  at::Tensor embed(const at::Tensor& c_noise) const;

 private:
  std::shared_ptr<Linear> in_, out_;
};

}  // namespace dblocks::nn
