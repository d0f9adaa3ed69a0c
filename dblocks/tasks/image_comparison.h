// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace dblocks::tasks {

/// How near drawn images are to real ones.
struct ImageComparison {
  double frechet_distance = 0;
  double precision = 0;
  double recall = 0;
  /// Images of each set that precision and recall looked at, the first ones:
  /// their work grows with the square.
  int64_t num_neighbour_images = 0;
};

/// Compares two sets of images by their features: see metrics/frechet.h.
/// *Shapes*: drawn: [N, F], real: [M, F]. Requires: more than `neighbours`
/// images in both.
ImageComparison compare_features(const at::Tensor& drawn,
                                 const at::Tensor& real,
                                 int64_t neighbours);

/// The Frechet distance of images, by their features, to a set of which only
/// the statistics are known. *Shapes*: drawn: [N, F]; mean: [F], covariance:
/// [F, F], float64. *Errors*: DataError for fewer than two images.
double frechet_distance_to(const at::Tensor& drawn,
                           const at::Tensor& mean,
                           const at::Tensor& covariance);

/// For each drawn image the real one that is nearest by its features.
/// *Shapes*: as above; result: [N] int64, indices into `real`.
at::Tensor nearest_images(const at::Tensor& drawn, const at::Tensor& real);

}  // namespace dblocks::tasks
