// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/orientation.h"

#include <utility>

namespace dblocks::data {
namespace {

// A seen pixel (y, x) is stored at these after the sides are exchanged, if they
// are: which axes of the stored image run backwards.
bool rows_run_backwards(int orientation) {
  return orientation == 3 || orientation == 4 || orientation == 7 ||
         orientation == 8;
}

bool columns_run_backwards(int orientation) {
  return orientation == 2 || orientation == 3 || orientation == 6 ||
         orientation == 7;
}

}  // namespace

// Orientation 6 is seen after a clockwise quarter turn, so the seen row y is
// the stored column y, and the seen column x the stored row counted backwards:
// in the tables above "rows" are those of the image that is seen.
Box stored_box(const Box& seen,
               int orientation,
               int64_t rows,
               int64_t columns) {
  const bool exchanged = exchanges_sides(orientation);
  const int64_t seen_rows = exchanged ? columns : rows;
  const int64_t seen_columns = exchanged ? rows : columns;
  Box box = seen;
  if (rows_run_backwards(orientation)) {
    box.top = seen_rows - seen.top - seen.rows;
  }
  if (columns_run_backwards(orientation)) {
    box.left = seen_columns - seen.left - seen.columns;
  }
  if (exchanged) {
    std::swap(box.top, box.left);
    std::swap(box.rows, box.columns);
  }
  return box;
}

void orient(Image& image, int orientation, Image& scratch) {
  if (orientation == 1) {
    return;
  }
  const bool exchanged = exchanges_sides(orientation);
  scratch.resize(image.channels, exchanged ? image.columns : image.rows,
                 exchanged ? image.rows : image.columns);
  for (int64_t c = 0; c < image.channels; ++c) {
    const uint8_t* in = image.plane(c);
    uint8_t* out = scratch.plane(c);
    for (int64_t y = 0; y < scratch.rows; ++y) {
      const int64_t v =
          rows_run_backwards(orientation) ? scratch.rows - 1 - y : y;
      for (int64_t x = 0; x < scratch.columns; ++x) {
        const int64_t h =
            columns_run_backwards(orientation) ? scratch.columns - 1 - x : x;
        *out++ =
            exchanged ? in[h * image.columns + v] : in[v * image.columns + h];
      }
    }
  }
  std::swap(image, scratch);
}

}  // namespace dblocks::data
