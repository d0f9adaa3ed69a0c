// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace dblocks::noise {

/// The share of z that an Euler step from `sigma` down to `sigma_next` keeps:
/// z' = keep z + (1 - keep) D with keep = sigma_next / sigma. This is
/// z + (sigma_next - sigma) (z - D) / sigma; equations 3 to 5 of arXiv
/// 2506.14202v4 print the opposite sign, which would move away from D.
/// Requires: sigma > 0. *Source*: Karras et al. 2022, arXiv 2206.00364,
/// Algorithm 1 without its correction.
constexpr double euler_keep(double sigma, double sigma_next) {
  return sigma_next / sigma;
}

}  // namespace dblocks::noise
