// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace dblocks::data {

/// The orientation, 1 to 8, in an EXIF block that starts with its TIFF header
/// ("II" or "MM"); 1, as stored, where it is absent or makes no sense. Looks at
/// the first directory only and never outside `tiff`.
int exif_orientation(std::span<const uint8_t> tiff);

}  // namespace dblocks::data
