// SPDX-License-Identifier: Apache-2.0
// How far two sets of images are from each other, by the features of some
// network: the Frechet distance of the normal distributions fitted to them, and
// precision and recall by nearest neighbours.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace dblocks::metrics {

/// Sums over feature vectors in float64. Sums over parts of a set, made apart
/// and merged, are the sums over the set.
class FeatureSums {
 public:
  explicit FeatureSums(int64_t num_features);

  /// *Shapes*: features: [N, F], any floating-point type.
  void add(const at::Tensor& features);
  /// Requires: the same number of features.
  void merge(const FeatureSums& other);

  int64_t count() const { return count_; }
  /// *Shapes*: [F] float64. Requires: count() > 0.
  at::Tensor mean() const;
  /// The unbiased estimate. *Shapes*: [F, F] float64. Requires: count() > 1.
  at::Tensor covariance() const;

 private:
  int64_t count_ = 0;
  at::Tensor sum_, products_;  // [F], [F, F]
};

/// |mu_a - mu_b|^2 + tr(A + B) - 2 tr((A B)^(1/2)). The last trace is the sum
/// of the singular values of A^(1/2) B^(1/2), roots taken by a symmetric
/// eigen-solver, which keeps the digits that the root of a product loses.
/// *Errors*: DataError for fewer than two vectors. *Source*: Dowson and Landau
/// 1982; Heusel et al. 2017, arXiv 1706.08500.
double frechet_distance(const FeatureSums& a, const FeatureSums& b);

/// The same from mean [F] and covariance [F, F] in float64.
double frechet_distance(const at::Tensor& mean_a,
                        const at::Tensor& covariance_a,
                        const at::Tensor& mean_b,
                        const at::Tensor& covariance_b);

struct PrecisionRecall {
  double precision = 0;  ///< share of samples that lie among the real ones
  double recall = 0;     ///< share of real ones that lie among the samples
};

/// A vector lies among a set if it is nearer to one of its members than that
/// member's own `neighbours`-th neighbour. *Shapes*: real: [N, F]; samples:
/// [M, F]. Requires: more than `neighbours` vectors in both.
/// *Source*: Kynkaanniemi et al. 2019, arXiv 1904.06991.
PrecisionRecall precision_recall(const at::Tensor& real,
                                 const at::Tensor& samples,
                                 int64_t neighbours = 3);

/// For each query the member of `set` that is nearest.
/// *Shapes*: queries: [N, F]; set: [M, F]; result: [N] int64.
at::Tensor nearest(const at::Tensor& queries, const at::Tensor& set);

}  // namespace dblocks::metrics
