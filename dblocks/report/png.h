// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace dblocks::report {

/// Pixels, planar: [C, Y, X], C = 1 (grey) or 3 (colour).
struct Picture {
  int64_t channels = 0;
  int64_t rows = 0;
  int64_t columns = 0;
  std::span<const uint8_t> pixels;
};

/// The picture as a PNG file in base64, shrunk by a whole factor until no side
/// is longer than `max_side`. *Errors*: InternalError if the shapes do not
/// agree or the picture cannot be encoded.
std::string png_base64(const Picture& picture, int64_t max_side);

/// RFC 4648, with padding.
std::string base64(std::span<const uint8_t> bytes);

}  // namespace dblocks::report
