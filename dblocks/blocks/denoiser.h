// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "dblocks/nn/block_network.h"

namespace dblocks::blocks {

/// The scalings of EDM preconditioning for a vector of sigmas, in float32.
/// *Shapes*: sigma: [N]. *Source*: Karras et al. 2022, arXiv 2206.00364,
/// table 1; the scalar twin in double is noise::precondition.
nn::NoiseScales noise_scales(const at::Tensor& sigma, double sigma_data);

/// The loss weight w(sigma) = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2
/// of each sample. *Shapes*: sigma: [N]; result: [N].
at::Tensor loss_weights(const at::Tensor& sigma, double sigma_data);

/// A block's network asked about a noisy target at given sigmas.
class Denoiser {
 public:
  Denoiser(std::shared_ptr<nn::BlockNetwork> network, double sigma_data)
      : network_(std::move(network)), sigma_data_(sigma_data) {}

  /// Class logits. *Shapes*: input: the task's own, sample first; z: [N, D];
  /// sigma: [N] float32; result: [N, K].
  at::Tensor logits(const at::Tensor& input,
                    const at::Tensor& z,
                    const at::Tensor& sigma) const;

  nn::BlockNetwork& network() const { return *network_; }

 private:
  std::shared_ptr<nn::BlockNetwork> network_;
  double sigma_data_;
};

}  // namespace dblocks::blocks
