// SPDX-License-Identifier: Apache-2.0
#include "dblocks/blocks/denoiser.h"

#include <ATen/ops/log.h>
#include <ATen/ops/rsqrt.h>

namespace dblocks::blocks {

nn::NoiseScales noise_scales(const at::Tensor& sigma, double sigma_data) {
  const double variance = sigma_data * sigma_data;
  const at::Tensor total = sigma * sigma + variance;
  const at::Tensor in = at::rsqrt(total);
  return {.skip = total.reciprocal() * variance,
          .out = sigma * in * sigma_data,
          .in = in,
          .noise = at::log(sigma) / 4};
}

at::Tensor loss_weights(const at::Tensor& sigma, double sigma_data) {
  const at::Tensor product = sigma * sigma_data;
  return (sigma * sigma + sigma_data * sigma_data) / (product * product);
}

at::Tensor Denoiser::logits(const at::Tensor& input,
                            const at::Tensor& z,
                            const at::Tensor& sigma) const {
  return network_->forward(input, z, noise_scales(sigma, sigma_data_));
}

}  // namespace dblocks::blocks
