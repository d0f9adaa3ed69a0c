// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>  // jpeglib.h uses FILE without declaring it
#include <cstring>
#include <vector>

#include <jerror.h>
#include <jpeglib.h>

#include "dblocks/core/error.h"
#include "dblocks/data/exif.h"
#include "dblocks/data/image_decoder.h"

namespace dblocks::data::internal {
namespace {

// Every 8 x 8 pixels take a bit at least.
constexpr int64_t kPixelsPerByte = 512;
constexpr int64_t kCoefficientBytesPerByte = 200;
// Scans that a progressive file may have; encoders write about ten.
constexpr int kMaxScans = 100;
constexpr int64_t kFreeScannedPixels = int64_t{32} << 20;
constexpr int64_t kScannedPixelsPerByte = 4096;
constexpr int kExifMarker = JPEG_APP0 + 1;
constexpr std::array<uint8_t, 6> kExifStart = {'E', 'x', 'i', 'f', 0, 0};

// libjpeg leaves through C callbacks, so we jump: no frame that it crosses may
// own anything.
struct State {
  jpeg_error_mgr errors;  // first: libjpeg hands back a pointer to it
  jpeg_progress_mgr progress;
  std::jmp_buf escape;
  std::array<char, JMSG_LENGTH_MAX> message;
  int64_t max_scanned_pixels;
};

[[noreturn]] void leave(j_common_ptr info, const char* message) {
  auto* state = reinterpret_cast<State*>(info->err);
  std::snprintf(state->message.data(), state->message.size(), "%s", message);
  std::longjmp(state->escape, 1);
}

[[noreturn]] void on_error(j_common_ptr info) {
  auto* state = reinterpret_cast<State*>(info->err);
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

void on_progress(j_common_ptr info) {
  const auto* decoding = reinterpret_cast<j_decompress_ptr>(info);
  const auto* state = reinterpret_cast<State*>(info->err);
  const int64_t scans = decoding->input_scan_number;
  if (scans > kMaxScans ||
      scans * decoding->image_height * decoding->image_width >
          state->max_scanned_pixels) {
    leave(info, "too many scans");
  }
}

class JpegDecoder : public ImageDecoder {
 public:
  JpegDecoder(std::span<const uint8_t> file, const std::string& name)
      : name_(name), file_(file) {
    info_.err = jpeg_std_error(&state_.errors);
    state_.errors.error_exit = &on_error;
    state_.errors.emit_message = &on_message;
    state_.message[0] = '\0';
    const bool is_read = read_header();
    try {
      DBLOCKS_CHECK(is_read, DataError,
                    "[read_jpeg] expected a JPEG image, found damage ({}): {}",
                    state_.message.data(), name_);
      check();
    } catch (...) {
      jpeg_destroy_decompress(&info_);
      throw;
    }
  }
  ~JpegDecoder() override { jpeg_destroy_decompress(&info_); }

  void decode(const Box& box,
              int64_t rows,
              int64_t columns,
              int64_t channels,
              Image& out) override {
    // The inverse transform makes 1/2, 1/4 or 1/8 of the image cheaply.
    int64_t step = 8;
    while (step > 1 &&
           (box.rows < step * rows || box.columns < step * columns)) {
      step /= 2;
    }
    info_.scale_num = 8;
    info_.scale_denom = static_cast<unsigned>(8 * step);
    const int64_t bottom = (box.top + box.rows + step - 1) / step;
    const int64_t right = (box.left + box.columns + step - 1) / step;
    const Box part{.top = box.top / step,
                   .left = box.left / step,
                   .rows = bottom - box.top / step,
                   .columns = right - box.left / step};
    out.resize(channels, part.rows, part.columns);
    std::vector<uint8_t> line(
        static_cast<size_t>((columns_ / step + 1) * channels));
    DBLOCKS_CHECK(read_lines(part, line.data(), out), DataError,
                  "[read_jpeg] expected a JPEG image, found damage ({}): {}",
                  state_.message.data(), name_);
  }

 private:
  bool read_header() {
    if (setjmp(state_.escape) != 0) {
      return false;
    }
    jpeg_create_decompress(&info_);
    info_.progress = &state_.progress;
    state_.progress.progress_monitor = &on_progress;
    state_.max_scanned_pixels =
        kFreeScannedPixels +
        kScannedPixelsPerByte * static_cast<int64_t>(file_.size());
    jpeg_mem_src(&info_, file_.data(), file_.size());
    jpeg_save_markers(&info_, kExifMarker, 0xffff);
    jpeg_read_header(&info_, TRUE);
    rows_ = info_.image_height;
    columns_ = info_.image_width;
    for (auto* marker = info_.marker_list; marker != nullptr;
         marker = marker->next) {
      const std::span<const uint8_t> data(marker->data, marker->data_length);
      if (marker->marker == kExifMarker && data.size() > kExifStart.size() &&
          std::equal(kExifStart.begin(), kExifStart.end(), data.begin())) {
        orientation_ = exif_orientation(data.subspan(kExifStart.size()));
        break;
      }
    }
    return true;
  }

  void check() {
    check_size("read_jpeg", rows_, columns_, name_);
    DBLOCKS_CHECK(info_.jpeg_color_space == JCS_GRAYSCALE ||
                      info_.jpeg_color_space == JCS_YCbCr ||
                      info_.jpeg_color_space == JCS_RGB,
                  DataError,
                  "[read_jpeg] expected grey or RGB colour, found {} channels "
                  "(CMYK or unknown): {}. Hint: save the image as RGB",
                  info_.num_components, name_);
    DBLOCKS_CHECK(!info_.arith_code, DataError,
                  "[read_jpeg] expected Huffman coding, found arithmetic "
                  "coding: {}. Hint: save the image again",
                  name_);
    const auto file_bytes = static_cast<int64_t>(file_.size());
    const int64_t pixels = rows_ * columns_;
    const int64_t coefficient_bytes =
        jpeg_has_multiple_scans(&info_) ? 2 * pixels * info_.num_components : 0;
    DBLOCKS_CHECK(
        pixels <= kPixelsPerByte * file_bytes &&
            coefficient_bytes <=
                kFreeBytes + kCoefficientBytesPerByte * file_bytes,
        DataError,
        "[read_jpeg] expected an image that its {} bytes can hold, found {} x "
        "{} pixels: {}",
        file_bytes, rows_, columns_, name_);
  }

  bool read_lines(const Box& part, uint8_t* line, Image& out) {
    if (setjmp(state_.escape) != 0) {
      return false;
    }
    info_.out_color_space = out.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&info_);
    JSAMPROW row = line;
    while (info_.output_scanline < info_.output_height) {
      const int64_t y = int64_t{info_.output_scanline} - part.top;
      jpeg_read_scanlines(&info_, &row, 1);
      if (y >= 0 && y < out.rows) {
        keep_line(line + part.left * out.channels, y, out);
      }
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  static void keep_line(const uint8_t* line, int64_t y, Image& out) {
    if (out.channels == 1) {
      std::memcpy(out.plane(0) + y * out.columns, line,
                  static_cast<size_t>(out.columns));
      return;
    }
    uint8_t* red = out.plane(0) + y * out.columns;
    uint8_t* green = out.plane(1) + y * out.columns;
    uint8_t* blue = out.plane(2) + y * out.columns;
    for (int64_t x = 0; x < out.columns; ++x) {
      red[x] = line[3 * x];
      green[x] = line[3 * x + 1];
      blue[x] = line[3 * x + 2];
    }
  }

  std::string name_;
  std::span<const uint8_t> file_;
  State state_{};
  jpeg_decompress_struct info_{};
};

}  // namespace

std::unique_ptr<ImageDecoder> open_jpeg(std::span<const uint8_t> file,
                                        const std::string& name) {
  return std::make_unique<JpegDecoder>(file, name);
}

}  // namespace dblocks::data::internal
