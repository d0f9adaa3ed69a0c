// SPDX-License-Identifier: Apache-2.0
// Labelled images, all of one size, numbered from 0. Small sets are held in
// memory as bytes; Tiny-ImageNet is decoded from its files one image at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dblocks/data/options.h"

namespace dblocks::data {

/// What is common to all images of a data set.
struct DatasetInfo {
  std::string name;
  int64_t channels = 0;
  int64_t rows = 0;
  int64_t columns = 0;
  /// One per class; their number is the number of classes.
  std::vector<std::string> class_names;
  /// Per channel, of pixels scaled to [0, 1].
  std::vector<double> mean;
  std::vector<double> std;

  int64_t num_classes() const {
    return static_cast<int64_t>(class_names.size());
  }
  int64_t pixel_bytes() const { return channels * rows * columns; }
};

/// Where the pixels of a data set come from.
/// *Threads*: one object is read by many threads at once.
class PixelSource {
 public:
  virtual ~PixelSource() = default;
  /// Pixels of sample `i`, planar: [C, Y, X]. They lie in the source itself or
  /// in `buffer`, and are valid as long as both are untouched.
  /// Errors: DataError naming the file.
  virtual std::span<const uint8_t> pixels(
      int64_t i, std::vector<uint8_t>& buffer) const = 0;
};

/// A value; copies share the pixels. *Threads*: safe to read from many.
class Dataset {
 public:
  Dataset() = default;
  /// Requires: labels within [0, info.num_classes()).
  Dataset(DatasetInfo info,
          std::vector<int64_t> labels,
          std::shared_ptr<const PixelSource> source);
  /// Images held in memory. *Shapes*: pixels: [size, C, Y, X].
  Dataset(DatasetInfo info,
          std::vector<int64_t> labels,
          std::vector<uint8_t> pixels);

  int64_t size() const { return static_cast<int64_t>(labels_.size()); }
  const DatasetInfo& info() const { return info_; }
  int64_t label(int64_t i) const;

  /// Pixels of sample `i`, planar: [C, Y, X]; `buffer` may hold them.
  std::span<const uint8_t> pixels(int64_t i,
                                  std::vector<uint8_t>& buffer) const;
  /// The same as a copy, for single looks.
  std::vector<uint8_t> pixels(int64_t i) const;

  /// The first `count` samples. Errors: ConfigError if there are fewer.
  Dataset first(int64_t count) const;

 private:
  DatasetInfo info_;
  std::vector<int64_t> labels_;
  std::shared_ptr<const PixelSource> source_;
};

struct DataSplits {
  Dataset train;
  Dataset test;
};

/// Finds and reads the data set that `options` names. Each folder of the search
/// (options.root, $DBLOCKS_DATA, ~/.local/share/dblocks, /usr/share/datasets)
/// may hold the data set's usual folder or its files directly; the first that
/// does is read. The test split of Tiny-ImageNet is its validation images.
/// Errors: ConfigError for an unknown name, a count below 0 or above the number
/// of samples, or a mean or deviation that does not fit the channels; DataError
/// if options.root is no folder, if nothing is found (the message lists every
/// folder and what to do) or if a file is damaged.
DataSplits open_dataset(const DataOptions& options);

}  // namespace dblocks::data
