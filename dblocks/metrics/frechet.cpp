// SPDX-License-Identifier: Apache-2.0
#include "dblocks/metrics/frechet.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cdist.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_svdvals.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <functional>
#include <tuple>
#include <vector>

#include "dblocks/core/error.h"

namespace dblocks::metrics {
namespace {

/// Rows of distances that are held at once.
constexpr int64_t kChunk = 1024;

at::Tensor symmetric_root(const at::Tensor& matrix) {
  const auto [values, vectors] = at::linalg_eigh(matrix);
  return at::matmul(vectors * values.clamp_min(0).sqrt(), vectors.t());
}

/// `of` applied to the distances [n, M] of chunks of `from` [N, F] to `to`
/// [M, F], put together.
at::Tensor by_distance(
    const at::Tensor& from,
    const at::Tensor& to,
    const std::function<at::Tensor(const at::Tensor& distances)>& of) {
  std::vector<at::Tensor> parts;
  const at::Tensor set = to.to(at::kDouble);
  for (const at::Tensor& chunk : from.to(at::kDouble).split(kChunk)) {
    parts.push_back(of(at::cdist(chunk, set)));
  }
  return at::cat(parts);
}

/// Distance of each member to its `neighbours`-th neighbour, itself not
/// counted.
at::Tensor radii(const at::Tensor& set, int64_t neighbours) {
  return by_distance(set, set, [&](const at::Tensor& distances) {
    return std::get<0>(distances.kthvalue(neighbours + 1, 1));
  });
}

double share_among(const at::Tensor& vectors,
                   const at::Tensor& set,
                   int64_t neighbours) {
  const at::Tensor radius = radii(set, neighbours);
  return by_distance(vectors, set,
                     [&](const at::Tensor& distances) {
                       return distances.le(radius).any(1);
                     })
      .to(at::kDouble)
      .mean()
      .item<double>();
}

}  // namespace

FeatureSums::FeatureSums(int64_t num_features)
    : sum_(at::zeros({num_features}, at::kDouble)),
      products_(at::zeros({num_features, num_features}, at::kDouble)) {}

void FeatureSums::add(const at::Tensor& features) {
  const at::Tensor rows = features.to(at::kCPU, at::kDouble);
  count_ += rows.size(0);
  sum_ += rows.sum(0);
  products_.addmm_(rows.t(), rows);
}

void FeatureSums::merge(const FeatureSums& other) {
  count_ += other.count_;
  sum_ += other.sum_;
  products_ += other.products_;
}

at::Tensor FeatureSums::mean() const {
  return sum_ / static_cast<double>(count_);
}

at::Tensor FeatureSums::covariance() const {
  const at::Tensor centre = mean();
  return (products_ - at::outer(centre, sum_)) /
         static_cast<double>(count_ - 1);
}

double frechet_distance(const FeatureSums& a, const FeatureSums& b) {
  DBLOCKS_CHECK(a.count() > 1 && b.count() > 1, DataError,
                "[frechet] expected at least 2 images in both sets, found {} "
                "and {}",
                a.count(), b.count());
  return frechet_distance(a.mean(), a.covariance(), b.mean(), b.covariance());
}

double frechet_distance(const at::Tensor& mean_a,
                        const at::Tensor& covariance_a,
                        const at::Tensor& mean_b,
                        const at::Tensor& covariance_b) {
  const at::Tensor product =
      at::matmul(symmetric_root(covariance_a), symmetric_root(covariance_b));
  const double distance =
      (mean_a - mean_b).square().sum().item<double>() +
      (covariance_a.trace() + covariance_b.trace()).item<double>() -
      2 * at::linalg_svdvals(product).sum().item<double>();
  return std::max(distance, 0.0);
}

PrecisionRecall precision_recall(const at::Tensor& real,
                                 const at::Tensor& samples,
                                 int64_t neighbours) {
  DBLOCKS_ASSERT(neighbours >= 1 && real.size(0) > neighbours &&
                     samples.size(0) > neighbours,
                 "{} neighbours of {} and {} vectors", neighbours, real.size(0),
                 samples.size(0));
  return {.precision = share_among(samples, real, neighbours),
          .recall = share_among(real, samples, neighbours)};
}

at::Tensor nearest(const at::Tensor& queries, const at::Tensor& set) {
  return by_distance(queries, set, [](const at::Tensor& distances) {
    return distances.argmin(1);
  });
}

}  // namespace dblocks::metrics
