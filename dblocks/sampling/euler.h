// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace dblocks::sampling {

/// One Euler step of the probability flow from `sigma` to `sigma_next`:
/// z' = (sigma'/sigma) z + (1 - sigma'/sigma) D.
/// *Source*: Karras et al. 2022, arXiv 2206.00364, algorithm 1. The sign in
/// equations 3 to 5 of the DiffusionBlocks paper (v4) moves away from D.
at::Tensor euler_step(const at::Tensor& z,
                      const at::Tensor& clean,
                      double sigma,
                      double sigma_next);

/// The initial state of the published chain: sqrt(1 + sigma^2) * epsilon.
at::Tensor initial_state(const at::Tensor& epsilon, double sigma);

}  // namespace dblocks::sampling
