// SPDX-License-Identifier: Apache-2.0
// Denoising of real vectors: what a block computes and minimises when its
// target is a number or a vector instead of a class.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace dblocks::blocks {

/// F: what a block's network computes from its input, the noisy target scaled
/// by c_in, and c_noise = ln(sigma) / 4.
/// *Shapes*: input: the task's own, sample first; scaled: [N, D]; noise: [N];
/// result: [N, D] float32.
using RawNetwork = std::function<at::Tensor(const at::Tensor& input,
                                            const at::Tensor& scaled,
                                            const at::Tensor& noise)>;

/// The clean target as a block sees it:
/// D(z; sigma) = c_skip z + c_out F(input, c_in z, c_noise).
/// *Shapes*: z: [N, D]; sigma: [N] float32; result: [N, D].
/// *Source*: Karras et al. 2022, arXiv 2206.00364, equation 7.
at::Tensor denoise(const RawNetwork& network,
                   const at::Tensor& input,
                   const at::Tensor& z,
                   const at::Tensor& sigma,
                   double sigma_data);

/// The mean of w(sigma) (D(y + sigma epsilon; sigma) - y)^2. Since w c_out^2 is
/// 1, that is the mean of (F - (y - c_skip z) / c_out)^2, which is how it is
/// computed: no sample outweighs another whatever its sigma.
/// *Shapes*: target, epsilon: [N, D]; sigma: [N] float32; result: scalar.
/// *Source*: Karras et al. 2022, arXiv 2206.00364, equation 8.
at::Tensor denoising_loss(const RawNetwork& network,
                          const at::Tensor& input,
                          const at::Tensor& target,
                          const at::Tensor& epsilon,
                          const at::Tensor& sigma,
                          double sigma_data);

}  // namespace dblocks::blocks
