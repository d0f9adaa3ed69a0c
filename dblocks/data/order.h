// SPDX-License-Identifier: Apache-2.0
// Which samples a step trains on. A function of seed, step, data set size and
// batch size alone, so a run resumes by its step number.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dblocks::data {

/// A permutation of 0 .. size - 1, every one equally likely (Fisher-Yates),
/// keyed by (seed, RandomPurpose::kEpochOrder, epoch).
/// Errors: ConfigError if size exceeds 2^32 - 1.
std::vector<uint32_t> epoch_order(uint64_t seed, int64_t epoch, int64_t size);

struct BatchOrderOptions {
  int64_t batch_size = 128;
  uint64_t seed = 0;
  /// false = the order of the files in every epoch.
  bool shuffle = true;
};

/// Visits a data set epoch by epoch in batches of equal size; the size %
/// batch_size samples left at the end of an epoch's order are skipped.
/// *Threads*: keeps one epoch's order; give each thread its own.
class BatchOrder {
 public:
  /// Errors: ConfigError unless 1 <= batch_size <= size.
  BatchOrder(int64_t size, const BatchOrderOptions& options);

  int64_t batches_per_epoch() const { return size_ / options_.batch_size; }
  /// Epoch that `step`, counted from 0, belongs to.
  int64_t epoch(int64_t step) const { return step / batches_per_epoch(); }
  /// The samples of `step`: [batch_size]; valid until the next call.
  std::span<const uint32_t> batch_samples(int64_t step);

 private:
  int64_t size_;
  BatchOrderOptions options_;
  int64_t held_epoch_ = -1;
  std::vector<uint32_t> order_;
};

}  // namespace dblocks::data
