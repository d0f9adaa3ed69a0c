// SPDX-License-Identifier: Apache-2.0
#include "dblocks/metrics/classification.h"

#include <algorithm>
#include <cmath>

#include "dblocks/core/error.h"

namespace dblocks::metrics {
namespace {

template <class Real>
void check_rows(std::span<const Real> log_probabilities,
                std::span<const int64_t> labels,
                int64_t num_classes) {
  const auto classes = static_cast<size_t>(num_classes);
  DBLOCKS_ASSERT(
      num_classes >= 1 && log_probabilities.size() == labels.size() * classes,
      "[classification] {} log-probabilities for {} labels of {} "
      "classes",
      log_probabilities.size(), labels.size(), num_classes);
  for (size_t row = 0; row < labels.size(); ++row) {
    DBLOCKS_CHECK(labels[row] >= 0 && labels[row] < num_classes, DataError,
                  "[classification] expected labels in [0, {}), found {} in "
                  "row {}. Hint: does the data set have more classes than "
                  "the model?",
                  num_classes, labels[row], row);
  }
  const auto nan =
      std::find_if(log_probabilities.begin(), log_probabilities.end(),
                   [](Real value) { return std::isnan(value); });
  DBLOCKS_CHECK(nan == log_probabilities.end(), DataError,
                "[classification] expected log-probabilities, found NaN in row "
                "{}. Hint: training has diverged; lower the learning rate.",
                (nan - log_probabilities.begin()) / num_classes);
}

// Subtracts the logarithm of the sum of exponentials.
void normalise_row(std::span<double> row) {
  const double largest = *std::max_element(row.begin(), row.end());
  DBLOCKS_CHECK(std::isfinite(largest), DataError,
                "[pooled_log_probabilities] expected at least one possible "
                "class, found {} as the largest mean log-probability. Hint: "
                "readers that exclude every class cannot be pooled.",
                largest);
  double sum = 0;
  for (const double value : row) {
    sum += std::exp(value - largest);
  }
  const double log_sum = largest + std::log(sum);
  for (double& value : row) {
    value -= log_sum;
  }
}

template <class Real>
std::vector<Real> pool(std::span<const Real> log_probabilities,
                       int64_t num_readers,
                       int64_t num_classes) {
  DBLOCKS_ASSERT(num_readers >= 1 && num_classes >= 1,
                 "[pooled_log_probabilities] {} readers, {} classes",
                 num_readers, num_classes);
  const auto readers = static_cast<size_t>(num_readers);
  const auto classes = static_cast<size_t>(num_classes);
  const size_t count = log_probabilities.size() / readers;  // N * num_classes
  DBLOCKS_ASSERT(
      count * readers == log_probabilities.size() && count % classes == 0,
      "[pooled_log_probabilities] {} values for {} readers and {} "
      "classes",
      log_probabilities.size(), num_readers, num_classes);
  std::vector<Real> pooled(count);
  std::vector<double> row(classes);
  for (size_t begin = 0; begin < count; begin += classes) {
    std::fill(row.begin(), row.end(), 0.0);
    for (size_t reader = 0; reader < readers; ++reader) {
      for (size_t k = 0; k < classes; ++k) {
        row[k] +=
            static_cast<double>(log_probabilities[reader * count + begin + k]) /
            static_cast<double>(num_readers);
      }
    }
    DBLOCKS_CHECK(std::none_of(row.begin(), row.end(),
                               [](double x) { return std::isnan(x); }),
                  DataError,
                  "[pooled_log_probabilities] expected log-probabilities, "
                  "found NaN in row {}. Hint: training has diverged; lower "
                  "the learning rate.",
                  begin / classes);
    normalise_row(row);
    std::copy(row.begin(), row.end(),
              pooled.begin() + static_cast<std::ptrdiff_t>(begin));
  }
  return pooled;
}

}  // namespace

void ClassificationAccumulator::add(std::span<const float> log_probabilities,
                                    std::span<const int64_t> labels,
                                    int64_t num_classes) {
  add_rows(log_probabilities, labels, num_classes);
}

void ClassificationAccumulator::add(std::span<const double> log_probabilities,
                                    std::span<const int64_t> labels,
                                    int64_t num_classes) {
  add_rows(log_probabilities, labels, num_classes);
}

template <class Real>
void ClassificationAccumulator::add_rows(
    std::span<const Real> log_probabilities,
    std::span<const int64_t> labels,
    int64_t num_classes) {
  check_rows(log_probabilities, labels, num_classes);
  const auto classes = static_cast<size_t>(num_classes);
  for (size_t n = 0; n < labels.size(); ++n) {
    const auto row = log_probabilities.subspan(n * classes, classes);
    const auto label = static_cast<size_t>(labels[n]);
    const auto likeliest = static_cast<size_t>(
        std::max_element(row.begin(), row.end()) - row.begin());
    add_sample(likeliest == label, std::exp(double{row[likeliest]}),
               -double{row[label]});
  }
}

void ClassificationAccumulator::add_sample(bool is_hit,
                                           double confidence,
                                           double negative_log) {
  // Upper ends belong to their bin; rounding may take a confidence past 1.
  const int bin =
      static_cast<int>(std::ceil(confidence * kNumReliabilityBins)) - 1;
  ReliabilityBin& found =
      bins_[static_cast<size_t>(std::clamp(bin, 0, kNumReliabilityBins - 1))];
  found.num_samples += 1;
  found.num_hits += is_hit ? 1 : 0;
  found.sum_confidence += confidence;
  sum_negative_log_ += negative_log;
}

void ClassificationAccumulator::merge(const ClassificationAccumulator& other) {
  for (size_t k = 0; k < bins_.size(); ++k) {
    bins_[k].num_samples += other.bins_[k].num_samples;
    bins_[k].num_hits += other.bins_[k].num_hits;
    bins_[k].sum_confidence += other.bins_[k].sum_confidence;
  }
  sum_negative_log_ += other.sum_negative_log_;
}

ClassificationMetrics ClassificationAccumulator::result() const {
  int64_t num_samples = 0;
  int64_t num_hits = 0;
  double gap = 0;
  for (const ReliabilityBin& bin : bins_) {
    num_samples += bin.num_samples;
    num_hits += bin.num_hits;
    gap += std::abs(static_cast<double>(bin.num_hits) - bin.sum_confidence);
  }
  if (num_samples == 0) {
    return {};
  }
  const auto n = static_cast<double>(num_samples);
  return {.accuracy = static_cast<double>(num_hits) / n,
          .cross_entropy = sum_negative_log_ / n,
          .calibration_error = gap / n,
          .num_samples = num_samples,
          .bins = bins_};
}

std::vector<float> pooled_log_probabilities(
    std::span<const float> log_probabilities,
    int64_t num_readers,
    int64_t num_classes) {
  return pool(log_probabilities, num_readers, num_classes);
}

std::vector<double> pooled_log_probabilities(
    std::span<const double> log_probabilities,
    int64_t num_readers,
    int64_t num_classes) {
  return pool(log_probabilities, num_readers, num_classes);
}

}  // namespace dblocks::metrics
