// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/png.h"

#include <algorithm>

#include "dblocks/core/error.h"
#include "dblocks/report/png_encoder.h"

namespace dblocks::report {
namespace {

/// Each pixel is the mean of factor x factor pixels; what is left over at the
/// right and at the bottom is dropped.
PixelImage shrunk(const Picture& picture, int64_t factor) {
  PixelImage result{.rows = picture.rows / factor,
                    .columns = picture.columns / factor,
                    .channels = picture.channels,
                    .pixels = {}};
  for (int64_t y = 0; y < result.rows; ++y) {
    for (int64_t x = 0; x < result.columns; ++x) {
      for (int64_t c = 0; c < picture.channels; ++c) {
        int64_t sum = 0;
        for (int64_t i = 0; i < factor * factor; ++i) {
          const int64_t row = y * factor + i / factor;
          const int64_t column = x * factor + i % factor;
          sum += picture.pixels[static_cast<size_t>(
              (c * picture.rows + row) * picture.columns + column)];
        }
        result.pixels.push_back(static_cast<uint8_t>(sum / (factor * factor)));
      }
    }
  }
  return result;
}

}  // namespace

std::string png_base64(const Picture& picture, int64_t max_side) {
  DBLOCKS_ASSERT((picture.channels == 1 || picture.channels == 3) &&
                     picture.rows >= 1 && picture.columns >= 1 &&
                     max_side >= 1 &&
                     static_cast<int64_t>(picture.pixels.size()) ==
                         picture.channels * picture.rows * picture.columns,
                 "[png] {} pixels for {} x {} x {}", picture.pixels.size(),
                 picture.channels, picture.rows, picture.columns);
  const int64_t longest = std::max(picture.rows, picture.columns);
  const int64_t wanted = (longest + max_side - 1) / max_side;
  const int64_t factor = std::min({wanted, picture.rows, picture.columns});
  const std::string file = png_bytes(shrunk(picture, factor));
  return base64({reinterpret_cast<const uint8_t*>(file.data()), file.size()});
}

std::string base64(std::span<const uint8_t> bytes) {
  constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) {
      group = group << 8 | (k < count ? bytes[i + k] : 0U);
    }
    for (size_t k = 0; k < 4; ++k) {
      text += k <= count ? kDigits[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

}  // namespace dblocks::report
