// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace dblocks::metrics {

/// Samples whose confidence p(likeliest class) falls into one range.
struct ReliabilityBin {
  int64_t num_samples = 0;
  int64_t num_hits = 0;
  double sum_confidence = 0;
};

/// Bins of equal width in a reliability diagram: bin k is (k/15, (k+1)/15].
inline constexpr int kNumReliabilityBins = 15;

/// What a classifier achieved on a set of samples.
struct ClassificationMetrics {
  double accuracy = 0;           ///< fraction whose likeliest class is right
  double cross_entropy = 0;      ///< mean of -ln p(label), in nats
  double calibration_error = 0;  ///< see ClassificationAccumulator
  int64_t num_samples = 0;       ///< the others are 0 when this is 0
  std::array<ReliabilityBin, kNumReliabilityBins> bins = {};
};

/// Collects classification metrics batch by batch, in double. Parts collected
/// apart can be merged; the order of batches then changes no count, and sums
/// only in their last bits.
///
/// The likeliest class of a sample is the first of equals. The calibration
/// error is the top-label expected calibration error over 15 bins of equal
/// width, (k/15, (k+1)/15]: with n samples, and over each bin the number of
/// hits and the sum of the confidences p(likeliest class),
///
///     sum over bins of |hits - sum of confidences| / n.
///
/// *Source*: Guo et al. 2017, arXiv 1706.04599, equation 3.
class ClassificationAccumulator {
 public:
  /// Adds a batch. Rows may hold -infinity (probability zero).
  /// *Shapes*: log_probabilities: [N, num_classes], row-major, each row
  /// normalised; labels: [N], in [0, num_classes).
  /// *Errors*: DataError for a label outside the classes or a NaN;
  /// InternalError if the shapes do not agree. A batch that throws leaves the
  /// accumulator as it was.
  void add(std::span<const float> log_probabilities,
           std::span<const int64_t> labels,
           int64_t num_classes);
  void add(std::span<const double> log_probabilities,
           std::span<const int64_t> labels,
           int64_t num_classes);

  /// Adds what another accumulator has collected.
  void merge(const ClassificationAccumulator& other);

  /// The metrics of everything added so far.
  ClassificationMetrics result() const;

 private:
  template <class Real>
  void add_rows(std::span<const Real> log_probabilities,
                std::span<const int64_t> labels,
                int64_t num_classes);
  void add_sample(bool is_hit, double confidence, double negative_log);

  std::array<ReliabilityBin, kNumReliabilityBins> bins_{};
  double sum_negative_log_ = 0;
};

/// Pools the predictions of several readers of the same samples: the
/// normalised exponential of the mean over readers of their log-probabilities
/// (a geometric mean of the probabilities).
/// *Shapes*: log_probabilities: [R, N, num_classes] row-major; returns
/// [N, num_classes].
/// *Errors*: DataError if a row holds a NaN or leaves no class possible;
/// InternalError if the shapes do not agree.
std::vector<float> pooled_log_probabilities(
    std::span<const float> log_probabilities,
    int64_t num_readers,
    int64_t num_classes);
std::vector<double> pooled_log_probabilities(
    std::span<const double> log_probabilities,
    int64_t num_readers,
    int64_t num_classes);

}  // namespace dblocks::metrics
