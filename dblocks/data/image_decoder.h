// SPDX-License-Identifier: Apache-2.0
// Decoders of single formats. Use them through image_file.h.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "dblocks/data/image.h"
#include "dblocks/data/transforms.h"

namespace dblocks::data::internal {

/// Most pixels of an image, and of one side.
inline constexpr int64_t kMaxPixels = int64_t{1} << 26;
inline constexpr int64_t kMaxSide = 65'500;
/// What an image may take in memory while it is decoded, however small its
/// file is; more only for files that are large themselves.
inline constexpr int64_t kFreeBytes = int64_t{24} << 20;

/// An opened image file: its header is read, its pixels are not.
class ImageDecoder {
 public:
  virtual ~ImageDecoder() = default;

  /// As stored, before orientation() is applied.
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  /// The EXIF orientation, 1 to 8.
  int orientation() const { return orientation_; }

  /// Decodes the whole file and keeps the part `box` of the stored image in
  /// `out`, with 1 or 3 channels. Where the part has a multiple of rows x
  /// columns it may be reduced, but never below that. Once only.
  /// Errors: DataError for a damaged file.
  virtual void decode(const Box& box,
                      int64_t rows,
                      int64_t columns,
                      int64_t channels,
                      Image& out) = 0;

 protected:
  int64_t rows_ = 0;
  int64_t columns_ = 0;
  int orientation_ = 1;
};

/// `file` has to outlive the decoder; `name` is used in messages.
/// Errors: DataError for a damaged header, a colour space that is not read, and
/// an image that is larger than the limits or than its file can hold.
std::unique_ptr<ImageDecoder> open_png(std::span<const uint8_t> file,
                                       const std::string& name);
std::unique_ptr<ImageDecoder> open_jpeg(std::span<const uint8_t> file,
                                        const std::string& name);

/// Errors: DataError unless both sides are within the limits.
void check_size(const char* where,
                int64_t rows,
                int64_t columns,
                const std::string& name);

/// Luma of 8-bit colour with the weights of ITU-R 601, as PIL rounds it.
inline uint8_t luma(uint8_t red, uint8_t green, uint8_t blue) {
  return static_cast<uint8_t>(
      (red * 19595u + green * 38470u + blue * 7471u + 0x8000u) >> 16);
}

}  // namespace dblocks::data::internal
