// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace dblocks::data {

/// An image of 8-bit levels, planar: pixels: [C, Y, X], with 1 (grey) or 3
/// (red, green, blue) channels.
struct Image {
  int64_t channels = 0;
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<uint8_t> pixels;

  int64_t plane_size() const { return rows * columns; }

  /// Changes the shape; the pixels are then undefined.
  void resize(int64_t new_channels, int64_t new_rows, int64_t new_columns) {
    channels = new_channels;
    rows = new_rows;
    columns = new_columns;
    pixels.resize(static_cast<size_t>(channels * rows * columns));
  }
  /// The same shape as `other`; the pixels are then undefined.
  void resize_like(const Image& other) {
    resize(other.channels, other.rows, other.columns);
  }
  uint8_t* plane(int64_t c) { return pixels.data() + c * plane_size(); }
  const uint8_t* plane(int64_t c) const {
    return pixels.data() + c * plane_size();
  }
};

}  // namespace dblocks::data
