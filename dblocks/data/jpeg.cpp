// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/jpeg.h"

#include <array>
#include <csetjmp>
#include <cstdio>  // jpeglib.h uses FILE without declaring it

#include <jerror.h>
#include <jpeglib.h>

#include "dblocks/core/error.h"
#include "dblocks/data/file_bytes.h"

namespace dblocks::data {
namespace {

constexpr size_t kMaxFileBytes = size_t{8} << 20;

// libjpeg leaves through a C callback, so we jump: no frame between decode()
// and the callbacks may own anything.
struct ErrorState {
  jpeg_error_mgr manager;  // first: libjpeg hands back a pointer to it
  std::jmp_buf escape;
  std::array<char, JMSG_LENGTH_MAX> message;
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto* state = reinterpret_cast<ErrorState*>(info->err);
  info->err->format_message(info, state->message.data());
  std::longjmp(state->escape, 1);
}

// libjpeg paints over damage in grey and calls that a warning.
void on_message(j_common_ptr info, int level) {
  const int code = info->err->msg_code;
  if (level < 0 && (code == JWRN_HIT_MARKER || code == JWRN_JPEG_EOF ||
                    code == JWRN_HUFF_BAD_CODE || code == JWRN_MUST_RESYNC)) {
    on_error(info);
  }
}

// What decode() reads and writes; plain pointers only.
struct Decoding {
  const uint8_t* file;
  size_t file_bytes;
  int64_t rows;
  int64_t columns;
  uint8_t* line;    // [X, 3]
  uint8_t* planes;  // [3, Y, X]
  // Found in the header:
  int64_t found_rows = 0;
  int64_t found_columns = 0;
};

void read_lines_of(jpeg_decompress_struct& info, const Decoding& d) {
  const int64_t plane = d.rows * d.columns;
  JSAMPROW line = d.line;
  for (int64_t y = 0; y < d.rows; ++y) {
    jpeg_read_scanlines(&info, &line, 1);
    for (int64_t x = 0; x < d.columns; ++x) {
      for (int64_t c = 0; c < 3; ++c) {
        d.planes[c * plane + y * d.columns + x] = d.line[3 * x + c];
      }
    }
  }
}

// Returns whether libjpeg was content; sets found_* from the header and decodes
// only if they are as asked.
bool decode(Decoding& d, ErrorState& error) {
  jpeg_decompress_struct info;
  info.err = jpeg_std_error(&error.manager);
  error.manager.error_exit = &on_error;
  error.manager.emit_message = &on_message;
  if (setjmp(error.escape) != 0) {
    jpeg_destroy_decompress(&info);
    return false;
  }
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, d.file, d.file_bytes);
  jpeg_read_header(&info, TRUE);
  d.found_rows = info.image_height;
  d.found_columns = info.image_width;
  if (d.found_rows == d.rows && d.found_columns == d.columns) {
    info.out_color_space = JCS_RGB;
    jpeg_start_decompress(&info);
    read_lines_of(info, d);
    jpeg_finish_decompress(&info);
  }
  jpeg_destroy_decompress(&info);
  return true;
}

}  // namespace

void read_jpeg(const std::filesystem::path& path,
               int64_t rows,
               int64_t columns,
               std::vector<uint8_t>& planes) {
  const std::vector<uint8_t> file = read_file(path, kMaxFileBytes);
  std::vector<uint8_t> line(static_cast<size_t>(3 * columns));
  planes.resize(static_cast<size_t>(3 * rows * columns));
  Decoding decoding{.file = file.data(),
                    .file_bytes = file.size(),
                    .rows = rows,
                    .columns = columns,
                    .line = line.data(),
                    .planes = planes.data()};
  ErrorState error;
  DBLOCKS_CHECK(decode(decoding, error), DataError,
                "[read_jpeg] expected a JPEG image, found damage ({}): {}",
                error.message.data(), path.string());
  DBLOCKS_CHECK(
      decoding.found_rows == rows && decoding.found_columns == columns,
      DataError, "[read_jpeg] expected {} x {} pixels, found {} x {}: {}", rows,
      columns, decoding.found_rows, decoding.found_columns, path.string());
}

}  // namespace dblocks::data
