// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <numbers>
#include <utility>

#include "dblocks/data/augment_ops.h"

namespace dblocks::data::internal {
namespace {

int64_t to_fixed(double value) {
  return static_cast<int64_t>(std::floor(value * 65536.0 + 0.5));
}

// Coordinates on the input in 16.16 fixed point.
struct FixedAffine {
  explicit FixedAffine(const std::array<double, 6>& a)
      : x_per_column(to_fixed(a[0])),
        x_per_row(to_fixed(a[1])),
        x_start(to_fixed(a[2] + a[0] * 0.5 + a[1] * 0.5)),
        y_per_column(to_fixed(a[3])),
        y_per_row(to_fixed(a[4])),
        y_start(to_fixed(a[5] + a[3] * 0.5 + a[4] * 0.5)) {}

  int64_t x_per_column, x_per_row, x_start;
  int64_t y_per_column, y_per_row, y_start;
};

void warp_plane(const FixedAffine& map,
                int64_t rows,
                int64_t columns,
                const uint8_t* in,
                uint8_t* out) {
  for (int64_t row = 0; row < rows; ++row) {
    int64_t x = map.x_start + row * map.x_per_row;
    int64_t y = map.y_start + row * map.y_per_row;
    for (int64_t column = 0; column < columns; ++column) {
      const int64_t from_x = x >> 16;
      const int64_t from_y = y >> 16;
      const bool inside =
          from_x >= 0 && from_x < columns && from_y >= 0 && from_y < rows;
      *out++ = inside ? in[from_y * columns + from_x] : uint8_t{0};
      x += map.x_per_column;
      y += map.y_per_column;
    }
  }
}

}  // namespace

void warp(Image& image, const std::array<double, 6>& a, Image& scratch) {
  scratch.resize_like(image);
  const FixedAffine map(a);
  for (int64_t c = 0; c < image.channels; ++c) {
    warp_plane(map, image.rows, image.columns, image.plane(c),
               scratch.plane(c));
  }
  std::swap(image, scratch);
}

void rotate(Image& image, double degrees, Image& scratch) {
  const double angle = -degrees * (std::numbers::pi / 180);
  const double cosine = std::cos(angle);
  const double sine = std::sin(angle);
  const double x = static_cast<double>(image.columns) / 2;
  const double y = static_cast<double>(image.rows) / 2;
  warp(image,
       {cosine, sine, x - cosine * x - sine * y,  //
        -sine, cosine, y + sine * x - cosine * y},
       scratch);
}

}  // namespace dblocks::data::internal
