// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dblocks::report {

/// An image to be written. *Shapes*: pixels: [rows, columns, channels].
struct PixelImage {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t channels = 1;  ///< 1 grey, 3 RGB
  std::vector<uint8_t> pixels;
};

/// The image as a PNG file, 8 bits a channel. The same image gives the same
/// bytes. Requires: as many pixels as the sizes say, and at least one.
std::string png_bytes(const PixelImage& image);

}  // namespace dblocks::report
