// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/png_encoder.h"

#include <png.h>

#include "dblocks/core/error.h"

namespace dblocks::report {

std::string png_bytes(const PixelImage& image) {
  DBLOCKS_ASSERT((image.channels == 1 || image.channels == 3) &&
                     !image.pixels.empty() &&
                     static_cast<int64_t>(image.pixels.size()) ==
                         image.rows * image.columns * image.channels,
                 "[png] {} x {} x {} pixels in {} bytes", image.rows,
                 image.columns, image.channels, image.pixels.size());
  png_image format{};
  format.version = PNG_IMAGE_VERSION;
  format.width = static_cast<png_uint_32>(image.columns);
  format.height = static_cast<png_uint_32>(image.rows);
  format.format = image.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(format);
  std::string file(size, '\0');
  const int is_written = png_image_write_to_memory(
      &format, file.data(), &size, 0, image.pixels.data(), 0, nullptr);
  DBLOCKS_ASSERT(is_written != 0, "[png] {}", format.message);
  file.resize(size);
  return file;
}

}  // namespace dblocks::report
