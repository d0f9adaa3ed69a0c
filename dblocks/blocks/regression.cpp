// SPDX-License-Identifier: Apache-2.0
#include "dblocks/blocks/regression.h"

#include "dblocks/blocks/denoiser.h"

namespace dblocks::blocks {
namespace {

at::Tensor column(const at::Tensor& x) {
  return x.unsqueeze(-1);
}

}  // namespace

at::Tensor denoise(const RawNetwork& network,
                   const at::Tensor& input,
                   const at::Tensor& z,
                   const at::Tensor& sigma,
                   double sigma_data) {
  const nn::NoiseScales c = noise_scales(sigma, sigma_data);
  return z * column(c.skip) +
         network(input, z * column(c.in), c.noise) * column(c.out);
}

at::Tensor denoising_loss(const RawNetwork& network,
                          const at::Tensor& input,
                          const at::Tensor& target,
                          const at::Tensor& epsilon,
                          const at::Tensor& sigma,
                          double sigma_data) {
  const nn::NoiseScales c = noise_scales(sigma, sigma_data);
  const at::Tensor z = target + epsilon * column(sigma);
  const at::Tensor wanted = (target - z * column(c.skip)) / column(c.out);
  return (network(input, z * column(c.in), c.noise) - wanted).square().mean();
}

}  // namespace dblocks::blocks
