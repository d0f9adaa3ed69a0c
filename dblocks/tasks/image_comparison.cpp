// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/image_comparison.h"

#include <algorithm>

#include "dblocks/core/error.h"
#include "dblocks/metrics/frechet.h"

namespace dblocks::tasks {
namespace {

constexpr int64_t kMaxNeighbourImages = 5000;
constexpr int64_t kVectorsAtOnce = 1000;

metrics::FeatureSums sums_of(const at::Tensor& features) {
  metrics::FeatureSums sums(features.size(1));
  for (const at::Tensor& chunk : features.split(kVectorsAtOnce)) {
    sums.add(chunk);
  }
  return sums;
}

}  // namespace

ImageComparison compare_features(const at::Tensor& drawn,
                                 const at::Tensor& real,
                                 int64_t neighbours) {
  const int64_t most =
      std::min({kMaxNeighbourImages, drawn.size(0), real.size(0)});
  const metrics::PrecisionRecall found = metrics::precision_recall(
      real.narrow(0, 0, most), drawn.narrow(0, 0, most), neighbours);
  return {.frechet_distance =
              metrics::frechet_distance(sums_of(drawn), sums_of(real)),
          .precision = found.precision,
          .recall = found.recall,
          .num_neighbour_images = most};
}

double frechet_distance_to(const at::Tensor& drawn,
                           const at::Tensor& mean,
                           const at::Tensor& covariance) {
  const metrics::FeatureSums sums = sums_of(drawn);
  DBLOCKS_CHECK(sums.count() > 1, DataError,
                "[frechet] expected at least 2 images, found {}", sums.count());
  return metrics::frechet_distance(sums.mean(), sums.covariance(), mean,
                                   covariance);
}

at::Tensor nearest_images(const at::Tensor& drawn, const at::Tensor& real) {
  return metrics::nearest(drawn, real);
}

}  // namespace dblocks::tasks
