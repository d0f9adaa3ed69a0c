// SPDX-License-Identifier: Apache-2.0
#include "cli/image_grid.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace dblocks::cli {

report::PixelImage image_grid(const at::Tensor& pixels, int64_t across) {
  const int64_t count = pixels.size(0), rows = pixels.size(1);
  const int64_t row_bytes = pixels.size(2) * pixels.size(3);
  report::PixelImage grid{.rows = (count + across - 1) / across * rows,
                          .columns = across * pixels.size(2),
                          .channels = pixels.size(3)};
  grid.pixels.resize(
      static_cast<size_t>(grid.rows * grid.columns * grid.channels));
  const uint8_t* from = pixels.const_data_ptr<uint8_t>();
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t row = 0; row < rows; ++row, from += row_bytes) {
      const int64_t line = i / across * rows + row;
      std::copy_n(
          from, row_bytes,
          grid.pixels.data() + (line * across + i % across) * row_bytes);
    }
  }
  return grid;
}

void show_sampling_share(double share) {
  if (isatty(STDERR_FILENO) != 0) {
    std::fprintf(stderr, "\rsampling %3.0f %%%s", 100 * share,
                 share >= 1 ? "\n" : "");
  }
}

}  // namespace dblocks::cli
