// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/png_encoder.h"

#include <zlib.h>

#include <string_view>

#include "dblocks/core/error.h"

namespace dblocks::report {
namespace {

void put_big_endian(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += static_cast<char>(value >> shift & 0xff);
  }
}

void put_chunk(std::string& out, std::string_view type, std::string_view data) {
  put_big_endian(out, static_cast<uint32_t>(data.size()));
  const size_t start = out.size();
  out += type;
  out += data;
  const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(out.data() + start),
                          static_cast<uInt>(out.size() - start));
  put_big_endian(out, static_cast<uint32_t>(crc));
}

std::string deflated(const std::string& bytes) {
  uLongf size = compressBound(bytes.size());
  std::string out(size, '\0');
  const int status = compress2(reinterpret_cast<Bytef*>(out.data()), &size,
                               reinterpret_cast<const Bytef*>(bytes.data()),
                               bytes.size(), Z_DEFAULT_COMPRESSION);
  DBLOCKS_ASSERT(status == Z_OK, "[png] zlib says {}", status);
  out.resize(size);
  return out;
}

}  // namespace

std::string png_bytes(const PixelImage& image) {
  const auto row_bytes = static_cast<size_t>(image.columns * image.channels);
  DBLOCKS_ASSERT(
      (image.channels == 1 || image.channels == 3) && !image.pixels.empty() &&
          image.pixels.size() == static_cast<size_t>(image.rows) * row_bytes,
      "[png] {} x {} x {} pixels in {} bytes", image.rows, image.columns,
      image.channels, image.pixels.size());
  std::string rows;
  for (size_t start = 0; start < image.pixels.size(); start += row_bytes) {
    rows += '\0';  // no filter
    rows.append(reinterpret_cast<const char*>(image.pixels.data() + start),
                row_bytes);
  }
  std::string header;
  put_big_endian(header, static_cast<uint32_t>(image.columns));
  put_big_endian(header, static_cast<uint32_t>(image.rows));
  header += '\x08';  // bits a channel
  header += image.channels == 1 ? '\x00' : '\x02';
  header.append(3, '\0');  // deflate, filters by row, not interlaced

  std::string png = "\x89PNG\r\n\x1a\n";
  put_chunk(png, "IHDR", header);
  put_chunk(png, "IDAT", deflated(rows));
  put_chunk(png, "IEND", "");
  return png;
}

}  // namespace dblocks::report
