// SPDX-License-Identifier: Apache-2.0
// Geometry of training images, and the step from bytes to floats. Each random
// transform takes its choices from the stream it is given.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dblocks/core/random.h"
#include "dblocks/data/image.h"
#include "dblocks/data/options.h"

namespace dblocks::data {

/// A rectangle of pixels within an image.
struct Box {
  int64_t top = 0;
  int64_t left = 0;
  int64_t rows = 0;
  int64_t columns = 0;
};

/// Shifts the content by (-dy, -dx); what comes in is black.
void shift(const Image& in, int64_t dy, int64_t dx, Image& out);

/// Mirrors left and right in place.
void flip_horizontally(Image& image);

/// Scales the part `box` of `in` to `rows` x `columns`: separable triangle
/// filter widened by the scale when shrinking, coefficients of 22 bits, columns
/// first, bytes between the two passes. Enlarging gives PIL's crop and BILINEAR
/// resize bit for bit; where rows shrink, PIL may take them first and then
/// differs by one level.
void resized_crop(
    const Image& in, const Box& box, int64_t rows, int64_t columns, Image& out);

/// Draws the box of torchvision's RandomResizedCrop: area 8 to 100 %, aspect
/// ratio 3/4 to 4/3 log-uniform; after ten misses the central crop.
Box random_resized_box(int64_t rows, int64_t columns, RandomStream& stream);

/// Does to training images what `options` says. Keeps its scratch memory.
/// *Threads*: give each thread its own.
class Augmenter {
 public:
  /// Errors: ConfigError if an option is out of range.
  explicit Augmenter(const AugmentOptions& options);

  /// Changes `image` in place; its size stays.
  void apply(Image& image, RandomStream& stream);
  /// All but the random resized crop, for an image that is one already.
  void apply_after_crop(Image& image, RandomStream& stream);

 private:
  AugmentOptions options_;
  Image scratch_;
};

/// Maps bytes to floats: (pixel / 255 - mean) / std per channel, rounded once
/// from double.
class Normalizer {
 public:
  /// Errors: ConfigError unless mean and std have equal sizes and every std
  /// is positive.
  Normalizer(std::span<const double> mean, std::span<const double> std);

  int64_t channels() const {
    return static_cast<int64_t>(levels_.size()) / 256;
  }
  /// *Shapes*: pixels, out: [channels, ...].
  void apply(std::span<const uint8_t> pixels, std::span<float> out) const;
  /// The same for numbers, in place: (value - mean) / std.
  void apply(std::span<float> values) const;

 private:
  std::vector<double> mean_;
  std::vector<double> std_;
  std::vector<float> levels_;  // [channels, 256]
};

}  // namespace dblocks::data
