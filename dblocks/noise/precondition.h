// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace dblocks::noise {

/// The scalings of D(z; sigma) = skip * z + out * F(in * z; noise).
/// *Source*: Karras et al. 2022, arXiv 2206.00364, table 1.
struct Preconditioning {
  double skip = 0;
  double out = 0;
  double in = 0;
  double noise = 0;
};

/// skip = s^2/(sigma^2+s^2), out = sigma s/sqrt(sigma^2+s^2),
/// in = 1/sqrt(sigma^2+s^2), noise = ln(sigma)/4, with s = sigma_data.
Preconditioning precondition(double sigma, double sigma_data);

/// w(sigma) = (sigma^2 + s^2) / (sigma s)^2 = 1 / out^2.
double loss_weight(double sigma, double sigma_data);

}  // namespace dblocks::noise
