// SPDX-License-Identifier: Apache-2.0
#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/data/exif.h"
#include "dblocks/data/image_decoder.h"

namespace dblocks::data::internal {
namespace {

// Pixels that a file of any size may claim, and more per byte of the file:
// deflate shrinks no more than about a thousandfold.
constexpr int64_t kFreePixels = int64_t{2} << 20;
constexpr int64_t kPixelsPerByte = 400;
constexpr int64_t kInterlacedBytesPerByte = 100;
constexpr png_alloc_size_t kMaxChunkBytes = png_alloc_size_t{1} << 20;
constexpr unsigned kWhite = 255;

struct Source {
  const uint8_t* next;
  size_t left;
  std::array<char, 128> message;
};

// libpng leaves through C callbacks by a jump: no frame that it crosses may own
// anything.
[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* source = static_cast<Source*>(png_get_error_ptr(png));
  std::snprintf(source->message.data(), source->message.size(), "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep out, size_t size) {
  auto* source = static_cast<Source*>(png_get_io_ptr(png));
  if (size > source->left) {
    png_error(png, "the file ends too early");
  }
  std::memcpy(out, source->next, size);
  source->next += size;
  source->left -= size;
}

// Adds lines of 8-bit pixels to the planes of a part of the image, each value
// being the mean of step x step pixels.
class Reducer {
 public:
  // *Shapes*: out: [channels, box.rows / step, box.columns / step]
  Reducer(const Box& box, int64_t step, int64_t in_channels, Image& out)
      : box_(box), step_(step), in_channels_(in_channels), out_(&out) {
    if (step_ > 1) {
      sums_.resize(static_cast<size_t>(out.channels * out.columns));
    }
  }

  // *Shapes*: line: [X, in_channels] of row `y`. Owns nothing while it runs.
  void add(int64_t y, const uint8_t* line) {
    const int64_t row = (y - box_.top) / step_;
    if (y < box_.top || row >= out_->rows) {
      return;
    }
    line += box_.left * in_channels_;
    if (step_ == 1) {
      for (int64_t x = 0; x < out_->columns; ++x, line += in_channels_) {
        put(line, [&](int64_t c, unsigned v) {
          out_->plane(c)[row * out_->columns + x] = static_cast<uint8_t>(v);
        });
      }
      return;
    }
    for (int64_t x = 0; x < out_->columns; ++x) {
      for (int64_t k = 0; k < step_; ++k, line += in_channels_) {
        put(line, [&](int64_t c, unsigned v) {
          sums_[static_cast<size_t>(c * out_->columns + x)] += v;
        });
      }
    }
    if ((y - box_.top) % step_ == step_ - 1) {
      flush(row);
    }
  }

 private:
  // Calls `store(channel, level)` for one pixel, laid over white.
  template <class Store>
  void put(const uint8_t* pixel, const Store& store) const {
    const bool has_alpha = in_channels_ == 2 || in_channels_ == 4;
    const unsigned alpha = has_alpha ? pixel[in_channels_ - 1] : 255u;
    const auto level = [&](int64_t c) {
      const unsigned over = pixel[c] * alpha + kWhite * (255 - alpha);
      return alpha == 255 ? pixel[c] : (over + 127) / 255;
    };
    if (in_channels_ <= 2) {
      for (int64_t c = 0; c < out_->channels; ++c) {
        store(c, level(0));
      }
    } else if (out_->channels == 1) {
      store(0,
            luma(static_cast<uint8_t>(level(0)), static_cast<uint8_t>(level(1)),
                 static_cast<uint8_t>(level(2))));
    } else {
      for (int64_t c = 0; c < 3; ++c) {
        store(c, level(c));
      }
    }
  }

  void flush(int64_t row) {
    const auto area = static_cast<uint64_t>(step_ * step_);
    for (int64_t c = 0; c < out_->channels; ++c) {
      for (int64_t x = 0; x < out_->columns; ++x) {
        uint64_t& sum = sums_[static_cast<size_t>(c * out_->columns + x)];
        out_->plane(c)[row * out_->columns + x] =
            static_cast<uint8_t>((sum + area / 2) / area);
        sum = 0;
      }
    }
  }

  Box box_;
  int64_t step_;
  int64_t in_channels_;
  Image* out_;
  std::vector<uint64_t> sums_;
};

class PngDecoder : public ImageDecoder {
 public:
  PngDecoder(std::span<const uint8_t> file, const std::string& name)
      : name_(name),
        file_bytes_(static_cast<int64_t>(file.size())),
        source_{file.data(), file.size(), {}} {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source_, &on_error,
                                  &on_warning);
    info_ = png_ != nullptr ? png_create_info_struct(png_) : nullptr;
    const bool is_read = info_ != nullptr && read_header();
    if (!is_read) {
      close();
    }
    DBLOCKS_CHECK(is_read, DataError,
                  "[read_png] expected a PNG image, found damage ({}): {}",
                  source_.message.data(), name_);
    try {
      check();
    } catch (...) {
      close();
      throw;
    }
  }
  ~PngDecoder() override { close(); }

  void decode(const Box& box,
              int64_t rows,
              int64_t columns,
              int64_t channels,
              Image& out) override {
    const int64_t step =
        std::max<int64_t>(1, std::min(box.rows / rows, box.columns / columns));
    out.resize(channels, box.rows / step, box.columns / step);
    const auto line_bytes = static_cast<size_t>(png_get_rowbytes(png_, info_));
    std::vector<uint8_t> lines(line_bytes *
                               static_cast<size_t>(is_interlaced_ ? rows_ : 1));
    Reducer reducer(box, step, png_get_channels(png_, info_), out);
    DBLOCKS_CHECK(read_lines(lines.data(), line_bytes, reducer), DataError,
                  "[read_png] expected a PNG image, found damage ({}): {}",
                  source_.message.data(), name_);
  }

 private:
  void close() { png_destroy_read_struct(&png_, &info_, nullptr); }

  bool read_header() {
    if (setjmp(png_jmpbuf(png_)) != 0) {
      return false;
    }
    // Compressed texts and profiles cost memory and are not used.
    static constexpr png_byte kUnused[] = "iCCP\0iTXt\0zTXt\0tEXt\0sPLT";
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, kUnused, 5);
    png_set_chunk_malloc_max(png_, kMaxChunkBytes);
    png_set_user_limits(png_, kMaxSide, kMaxSide);
    png_set_read_fn(png_, &source_, &on_read);
    png_read_info(png_, info_);
    rows_ = png_get_image_height(png_, info_);
    columns_ = png_get_image_width(png_, info_);
    is_interlaced_ = png_get_interlace_type(png_, info_) != PNG_INTERLACE_NONE;
    png_uint_32 exif_bytes = 0;
    png_bytep exif = nullptr;
    if (png_get_eXIf_1(png_, info_, &exif_bytes, &exif) != 0) {
      orientation_ = exif_orientation({exif, exif_bytes});
    }
    png_set_expand(png_);
    png_set_scale_16(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  void check() const {
    check_size("read_png", rows_, columns_, name_);
    const int64_t pixels = rows_ * columns_;
    DBLOCKS_CHECK(
        pixels <= kFreePixels + kPixelsPerByte * file_bytes_ &&
            (!is_interlaced_ ||
             rows_ * static_cast<int64_t>(png_get_rowbytes(png_, info_)) <=
                 kFreeBytes + kInterlacedBytesPerByte * file_bytes_),
        DataError,
        "[read_png] expected an image that its {} bytes can hold, found {} x "
        "{} pixels: {}",
        file_bytes_, rows_, columns_, name_);
  }

  bool read_lines(uint8_t* lines, size_t line_bytes, Reducer& reducer) {
    if (setjmp(png_jmpbuf(png_)) != 0) {
      return false;
    }
    const int passes = is_interlaced_ ? PNG_INTERLACE_ADAM7_PASSES : 1;
    for (int pass = 0; pass < passes; ++pass) {
      for (int64_t y = 0; y < rows_; ++y) {
        uint8_t* line =
            lines + (is_interlaced_ ? static_cast<size_t>(y) * line_bytes : 0);
        png_read_row(png_, line, nullptr);
        if (pass == passes - 1) {
          reducer.add(y, line);
        }
      }
    }
    png_read_end(png_, nullptr);
    return true;
  }

  std::string name_;
  int64_t file_bytes_;
  Source source_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  bool is_interlaced_ = false;
};

}  // namespace

std::unique_ptr<ImageDecoder> open_png(std::span<const uint8_t> file,
                                       const std::string& name) {
  return std::make_unique<PngDecoder>(file, name);
}

}  // namespace dblocks::data::internal
