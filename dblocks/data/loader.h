// SPDX-License-Identifier: Apache-2.0
// Batches of normalised images, prepared ahead of the trainer.
//
//   Loader loader(splits.train, {.batch_size = 128, .seed = 1}, first_step);
//   while (...) {
//     const Batch& batch = loader.next();
//     ...
//   }
//
// The content of a batch depends on (data set, options, seed, step) alone: the
// numbers of workers and of prefetched batches do not change a bit of it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dblocks/data/dataset.h"
#include "dblocks/data/options.h"

namespace dblocks::data {

struct Batch {
  /// [N, C, Y, X], normalised: (pixel / 255 - mean) / std.
  std::vector<float> images;
  /// [N]
  std::vector<int64_t> labels;
  /// [N]: indices into the data set, of the samples that are in the batch.
  std::vector<int64_t> sample_ids;
  int64_t num_samples = 0;
  int64_t epoch = 0;
  int64_t step = 0;
};

struct LoaderOptions {
  int64_t batch_size = 128;
  /// Threads that prepare batches, at most 256; 0 = the calling thread.
  int64_t workers = 1;
  /// Batches prepared ahead, 1 to 1024. Memory: prefetch + 1 batches.
  int64_t prefetch = 4;
  uint64_t seed = 0;
  AugmentOptions augment;
  /// Per channel; empty = those of the data set.
  std::vector<double> mean;
  std::vector<double> std;
  /// false = file order and no augmentation.
  bool train = true;
};

/// Yields the batches of steps first_step, first_step + 1, ... without end.
/// The memory of batches is reused from step to step.
/// *Threads*: next() from one thread; workers are stopped by the destructor.
class Loader {
 public:
  /// Errors: ConfigError for a batch larger than the data set, and for options
  /// out of range.
  Loader(const Dataset& dataset,
         const LoaderOptions& options,
         int64_t first_step = 0);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next step's batch, valid until the following call. Errors: what the
  /// preparation of this batch threw, on this and every later call.
  const Batch& next();

  /// Seconds that next() has spent waiting for batches in all.
  double wait_seconds() const;
  int64_t batches_per_epoch() const;

 private:
  class Ring;
  std::unique_ptr<Ring> ring_;
};

/// Samples first .. first + count - 1 in file order, cut at the end of the data
/// set, without augmentation, normalised by the data set's own mean and std;
/// epoch and step are 0. Requires: 0 <= first < size, count >= 1.
Batch evaluation_batch(const Dataset& dataset, int64_t first, int64_t count);

/// The same for samples chosen one by one.
Batch evaluation_batch(const Dataset& dataset,
                       std::span<const int64_t> samples);

}  // namespace dblocks::data
