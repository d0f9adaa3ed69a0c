// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/augment_ops.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace dblocks::data::internal {
namespace {

using Levels = std::array<uint8_t, 256>;
using Histogram = std::array<int64_t, 256>;

template <class Function>
Levels make_levels(Function&& function) {
  Levels levels;
  for (int level = 0; level < 256; ++level) {
    levels[static_cast<size_t>(level)] =
        static_cast<uint8_t>(std::clamp<int64_t>(function(level), 0, 255));
  }
  return levels;
}

void map_levels(uint8_t* pixels, int64_t count, const Levels& levels) {
  std::transform(pixels, pixels + count, pixels,
                 [&](uint8_t pixel) { return levels[pixel]; });
}

void map_levels(Image& image, const Levels& levels) {
  map_levels(image.pixels.data(), image.channels * image.plane_size(), levels);
}

Histogram histogram(const uint8_t* pixels, int64_t count) {
  Histogram result{};
  for (int64_t i = 0; i < count; ++i) {
    ++result[pixels[i]];
  }
  return result;
}

// Float32, cut off rather than rounded: PIL's Image.blend. Between 0 and 1 the
// clamp changes nothing.
uint8_t blend(uint8_t other, uint8_t pixel, float factor) {
  const float value =
      static_cast<float>(other) + factor * static_cast<float>(pixel - other);
  return static_cast<uint8_t>(std::clamp(value, 0.0f, 255.0f));
}

void blend_with_level(Image& image, uint8_t other, double factor) {
  map_levels(image, make_levels([&](int level) {
               return blend(other, static_cast<uint8_t>(level),
                            static_cast<float>(factor));
             }));
}

// Luma of ITU-R 601 with 16-bit weights.
uint8_t grey(const Image& image, int64_t i) {
  if (image.channels == 1) {
    return image.pixels[static_cast<size_t>(i)];
  }
  const uint32_t sum = image.plane(0)[i] * 19595u + image.plane(1)[i] * 38470u +
                       image.plane(2)[i] * 7471u;
  return static_cast<uint8_t>((sum + 0x8000u) >> 16);
}

// Smooths by 1 1 1, 1 5 1, 1 1 1 over 13; the border stays. A thirteenth is
// never half an integer, so integers round exactly as PIL's floats do.
void smooth_plane(const uint8_t* in,
                  int64_t rows,
                  int64_t columns,
                  uint8_t* out) {
  std::copy(in, in + rows * columns, out);
  for (int64_t y = 1; y < rows - 1; ++y) {
    const uint8_t* above = in + (y - 1) * columns;
    const uint8_t* here = in + y * columns;
    const uint8_t* below = in + (y + 1) * columns;
    for (int64_t x = 1; x < columns - 1; ++x) {
      int sum = 4 * here[x];
      for (int64_t k = x - 1; k <= x + 1; ++k) {
        sum += above[k] + here[k] + below[k];
      }
      out[y * columns + x] = static_cast<uint8_t>((2 * sum + 13) / 26);
    }
  }
}

Levels stretch(const Histogram& counts) {
  const auto used = [](int64_t count) { return count > 0; };
  const auto low =
      std::find_if(counts.begin(), counts.end(), used) - counts.begin();
  const auto high =
      counts.rend() - std::find_if(counts.rbegin(), counts.rend(), used) - 1;
  if (high <= low) {
    return make_levels([](int level) { return level; });
  }
  const double scale = 255.0 / static_cast<double>(high - low);
  const double offset = static_cast<double>(-low) * scale;
  return make_levels(
      [&](int level) { return static_cast<int64_t>(level * scale + offset); });
}

Levels flatten(const Histogram& counts) {
  const int64_t total =
      std::accumulate(counts.begin(), counts.end(), int64_t{0});
  const auto last = std::find_if(counts.rbegin(), counts.rend(),
                                 [](int64_t count) { return count > 0; });
  const int64_t step = (total - *last) / 255;
  if (step == 0) {
    return make_levels([](int level) { return level; });
  }
  int64_t below = step / 2;
  return make_levels([&](int level) {
    const int64_t value = below / step;
    below += counts[static_cast<size_t>(level)];
    return value;
  });
}

template <class Function>
void map_by_histogram(Image& image, Function&& levels_of) {
  for (int64_t c = 0; c < image.channels; ++c) {
    map_levels(image.plane(c), image.plane_size(),
               levels_of(histogram(image.plane(c), image.plane_size())));
  }
}

}  // namespace

void adjust_brightness(Image& image, double factor) {
  blend_with_level(image, 0, factor);
}

void adjust_color(Image& image, double factor) {
  if (image.channels == 1) {
    return;
  }
  for (int64_t i = 0; i < image.plane_size(); ++i) {
    const uint8_t level = grey(image, i);
    for (int64_t c = 0; c < image.channels; ++c) {
      uint8_t& pixel = image.plane(c)[i];
      pixel = blend(level, pixel, static_cast<float>(factor));
    }
  }
}

void adjust_contrast(Image& image, double factor) {
  int64_t sum = 0;
  for (int64_t i = 0; i < image.plane_size(); ++i) {
    sum += grey(image, i);
  }
  const double mean =
      static_cast<double>(sum) / static_cast<double>(image.plane_size());
  blend_with_level(image, static_cast<uint8_t>(mean + 0.5), factor);
}

void adjust_sharpness(Image& image, double factor, Image& scratch) {
  scratch.resize_like(image);
  for (int64_t c = 0; c < image.channels; ++c) {
    smooth_plane(image.plane(c), image.rows, image.columns, scratch.plane(c));
  }
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] =
        blend(scratch.pixels[i], image.pixels[i], static_cast<float>(factor));
  }
}

void posterize(Image& image, int bits) {
  const int mask = ~((1 << (8 - bits)) - 1);
  map_levels(image, make_levels([&](int level) { return level & mask; }));
}

void solarize(Image& image, double threshold) {
  map_levels(image, make_levels([&](int level) {
               return level < threshold ? level : 255 - level;
             }));
}

void auto_contrast(Image& image) {
  map_by_histogram(image, stretch);
}

void equalize(Image& image) {
  map_by_histogram(image, flatten);
}

}  // namespace dblocks::data::internal
