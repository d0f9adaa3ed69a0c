// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/transforms.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "dblocks/core/error.h"
#include "dblocks/data/rand_augment.h"

namespace dblocks::data {
namespace {

constexpr double kMinArea = 0.08;
constexpr double kMinRatio = 3.0 / 4;
constexpr double kMaxRatio = 4.0 / 3;

Box central_box(int64_t rows, int64_t columns) {
  Box box{.rows = rows, .columns = columns};
  const double ratio = static_cast<double>(columns) / static_cast<double>(rows);
  if (ratio < kMinRatio) {
    box.rows = std::lrint(static_cast<double>(columns) / kMinRatio);
  } else if (ratio > kMaxRatio) {
    box.columns = std::lrint(static_cast<double>(rows) * kMaxRatio);
  }
  box.top = (rows - box.rows) / 2;
  box.left = (columns - box.columns) / 2;
  return box;
}

int64_t random_index(int64_t size, RandomStream& stream) {
  return static_cast<int64_t>(stream.next_below(static_cast<uint64_t>(size)));
}

}  // namespace

void shift(const Image& in, int64_t dy, int64_t dx, Image& out) {
  out.resize_like(in);
  std::fill(out.pixels.begin(), out.pixels.end(), uint8_t{0});
  const int64_t first_row = std::max<int64_t>(0, -dy);
  const int64_t last_row = std::min(in.rows, in.rows - dy);
  const int64_t first = std::max<int64_t>(0, -dx);
  const int64_t count = std::min(in.columns, in.columns - dx) - first;
  if (count <= 0) {
    return;
  }
  for (int64_t c = 0; c < in.channels; ++c) {
    for (int64_t y = first_row; y < last_row; ++y) {
      std::memcpy(out.plane(c) + y * in.columns + first,
                  in.plane(c) + (y + dy) * in.columns + first + dx,
                  static_cast<size_t>(count));
    }
  }
}

void flip_horizontally(Image& image) {
  for (int64_t row = 0; row < image.channels * image.rows; ++row) {
    uint8_t* start = image.pixels.data() + row * image.columns;
    std::reverse(start, start + image.columns);
  }
}

Box random_resized_box(int64_t rows, int64_t columns, RandomStream& stream) {
  const double area = static_cast<double>(rows * columns);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target =
        area * (kMinArea + (1 - kMinArea) * stream.next_uniform());
    const double log_min = std::log(kMinRatio);
    const double log_max = std::log(kMaxRatio);
    const double ratio =
        std::exp(log_min + (log_max - log_min) * stream.next_uniform());
    Box box{.rows = std::lrint(std::sqrt(target / ratio)),
            .columns = std::lrint(std::sqrt(target * ratio))};
    if (box.rows > 0 && box.rows <= rows && box.columns > 0 &&
        box.columns <= columns) {
      box.top = random_index(rows - box.rows + 1, stream);
      box.left = random_index(columns - box.columns + 1, stream);
      return box;
    }
  }
  return central_box(rows, columns);
}

Augmenter::Augmenter(const AugmentOptions& options) : options_(options) {
  DBLOCKS_CHECK(options.crop_padding >= 0, ConfigError,
                "[data] expected 0 or more, found {}: "
                "data.augment.crop_padding",
                options.crop_padding);
  DBLOCKS_CHECK(options.rand_augment_ops >= 0, ConfigError,
                "[data] expected 0 or more, found {}: "
                "data.augment.rand_augment_ops",
                options.rand_augment_ops);
  DBLOCKS_CHECK(options.rand_augment_magnitude >= 0 &&
                    options.rand_augment_magnitude < kNumMagnitudeBins,
                ConfigError,
                "[data] expected 0 to {}, found {}: "
                "data.augment.rand_augment_magnitude",
                kNumMagnitudeBins - 1, options.rand_augment_magnitude);
}

void Augmenter::apply(Image& image, RandomStream& stream) {
  if (options_.random_resized_crop) {
    const Box box = random_resized_box(image.rows, image.columns, stream);
    resized_crop(image, box, image.rows, image.columns, scratch_);
    std::swap(image, scratch_);
  }
  apply_after_crop(image, stream);
}

void Augmenter::apply_after_crop(Image& image, RandomStream& stream) {
  if (options_.crop_padding > 0) {
    const int64_t places = 2 * options_.crop_padding + 1;
    const int64_t dy = random_index(places, stream) - options_.crop_padding;
    const int64_t dx = random_index(places, stream) - options_.crop_padding;
    shift(image, dy, dx, scratch_);
    std::swap(image, scratch_);
  }
  if (options_.flip && stream.next_below(2) == 1) {
    flip_horizontally(image);
  }
  rand_augment(image, options_.rand_augment_ops,
               options_.rand_augment_magnitude, stream, scratch_);
}

Normalizer::Normalizer(std::span<const double> mean,
                       std::span<const double> std)
    : mean_(mean.begin(), mean.end()), std_(std.begin(), std.end()) {
  DBLOCKS_CHECK(mean.size() == std.size(), ConfigError,
                "[data] expected as many means as deviations, found {} and {}: "
                "data.mean, data.std",
                mean.size(), std.size());
  for (size_t c = 0; c < mean.size(); ++c) {
    DBLOCKS_CHECK(std[c] > 0, ConfigError,
                  "[data] expected positive deviations, found {}: data.std",
                  std[c]);
    for (int level = 0; level < 256; ++level) {
      levels_.push_back(static_cast<float>((level / 255.0 - mean[c]) / std[c]));
    }
  }
}

void Normalizer::apply(std::span<const uint8_t> pixels,
                       std::span<float> out) const {
  const size_t plane = pixels.size() / static_cast<size_t>(channels());
  DBLOCKS_ASSERT(out.size() == pixels.size(), "{} floats for {} pixels",
                 out.size(), pixels.size());
  for (int64_t c = 0; c < channels(); ++c) {
    const float* level = levels_.data() + 256 * c;
    const size_t start = static_cast<size_t>(c) * plane;
    for (size_t i = start; i < start + plane; ++i) {
      out[i] = level[pixels[i]];
    }
  }
}

void Normalizer::apply(std::span<float> values) const {
  const size_t plane = values.size() / mean_.size();
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t c = i / plane;
    values[i] = static_cast<float>((values[i] - mean_[c]) / std_[c]);
  }
}

}  // namespace dblocks::data
