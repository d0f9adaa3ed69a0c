// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "dblocks/data/dataset.h"
#include "dblocks/data/loader.h"
#include "dblocks/data/order.h"
#include "dblocks/data/transforms.h"

namespace dblocks::data {

/// Makes the batch of any step from (data set, options, step) alone. Augments
/// each sample with its own stream, keyed by (seed, epoch, sample).
/// *Threads*: a value with scratch memory; give each thread a copy.
class BatchMaker {
 public:
  /// Errors: ConfigError for options out of range.
  BatchMaker(const Dataset& dataset, const LoaderOptions& options);

  int64_t batches_per_epoch() const { return order_.batches_per_epoch(); }
  /// Fills `batch`, reusing its memory. Where the data set passes over damaged
  /// samples, the next readable one of the data set takes the place and the
  /// random numbers of a damaged one, and its own label and id. Errors:
  /// DataError from the data set, or if no sample is readable.
  void make(int64_t step, Batch& batch);

 private:
  std::span<const uint8_t> augmented(int64_t sample, RandomStream& stream);
  void fill(int64_t sample, RandomStream stream, std::span<float> out);
  int64_t fill_or_replace(int64_t sample, int64_t epoch, std::span<float> out);

  Dataset dataset_;
  LoaderOptions options_;
  BatchOrder order_;
  Augmenter augmenter_;
  Normalizer normalizer_;
  std::vector<uint8_t> buffer_;
  Image image_;
};

}  // namespace dblocks::data
