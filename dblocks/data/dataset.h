// SPDX-License-Identifier: Apache-2.0
// Labelled images, all of one size, numbered from 0. Small sets are held in
// memory as bytes; others are decoded from their files one image at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "dblocks/data/image_file.h"
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

  /// Whether samples are images of their own size, of which view() takes parts.
  virtual bool has_views() const { return false; }
  /// The part of sample `i` that `choose` wants. Requires: has_views().
  /// Errors: DataError naming the file.
  virtual void view(int64_t i, const ChooseView& choose, Image& out) const;

  /// Whether samples are numbers; pixels() then gives them clamped to [0, 1]
  /// and rounded to 8 bits.
  virtual bool has_values() const { return false; }
  /// The numbers of sample `i`: [C, Y, X]. Requires: has_values().
  /// Errors: DataError naming the sample if one is not finite.
  virtual void values(int64_t i, std::span<float> out) const;
};

/// A sample that could not be read, and why.
struct BadSample {
  int64_t sample = 0;
  std::string reason;
};

/// The samples found damaged so far. *Threads*: safe to use from many.
class BadSamples {
 public:
  /// Keeps the first report of each sample and says it in the log.
  void add(int64_t sample, const std::string& reason);
  /// In the order of the data set.
  std::vector<BadSample> list() const;

 private:
  mutable std::mutex mutex_;
  std::vector<BadSample> samples_;
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

  /// Where the samples come from. Requires: a sample within the data set.
  const PixelSource& source() const { return *source_; }

  /// The first `count` samples. Errors: ConfigError if there are fewer.
  Dataset first(int64_t count) const;

  /// From now on this data set and its copies pass over damaged samples.
  void skip_bad_samples() { bad_samples_ = std::make_shared<BadSamples>(); }
  /// Where damaged samples are noted; nullptr where they are errors.
  BadSamples* bad_samples() const { return bad_samples_.get(); }
  /// The samples that can be read: all, unless damaged ones are passed over;
  /// these are found by reading every sample once. Errors: DataError if there
  /// are none.
  std::vector<int64_t> readable_samples() const;

 private:
  DatasetInfo info_;
  std::vector<int64_t> labels_;
  std::shared_ptr<const PixelSource> source_;
  std::shared_ptr<BadSamples> bad_samples_;
};

struct DataSplits {
  Dataset train;
  Dataset test;
};

/// Finds and reads the data set that `options` names. Each folder of the search
/// (options.root, $DBLOCKS_DATA, ~/.local/share/dblocks, /usr/share/datasets)
/// may hold the data set's usual folder or its files directly; the first that
/// does is read. The test split of Tiny-ImageNet is its validation images.
/// image_folder, safetensors and npz are read from options.root itself.
/// Errors: ConfigError for an unknown name, a count below 0 or above the number
/// of samples, or a mean or deviation that does not fit the channels; DataError
/// if options.root is no folder, if nothing is found (the message lists every
/// folder and what to do) or if a file is damaged.
DataSplits open_dataset(const DataOptions& options);

}  // namespace dblocks::data
