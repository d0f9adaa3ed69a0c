// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/exif.h"

namespace dblocks::data {
namespace {

constexpr uint32_t kOrientationTag = 0x0112;
constexpr uint32_t kShortType = 3;
constexpr size_t kEntryBytes = 12;

// Numbers of either byte order; 0 outside the block.
class TiffReader {
 public:
  TiffReader(std::span<const uint8_t> bytes, bool is_big_endian)
      : bytes_(bytes), is_big_endian_(is_big_endian) {}

  uint32_t read(size_t at, size_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) {
      return 0;
    }
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      const size_t place = is_big_endian_ ? at + i : at + size - 1 - i;
      value = value << 8 | bytes_[place];
    }
    return value;
  }

 private:
  std::span<const uint8_t> bytes_;
  bool is_big_endian_;
};

}  // namespace

int exif_orientation(std::span<const uint8_t> tiff) {
  constexpr int kAsStored = 1;
  if (tiff.size() < 8 || tiff[0] != tiff[1] ||
      (tiff[0] != 'I' && tiff[0] != 'M')) {
    return kAsStored;
  }
  const TiffReader reader(tiff, tiff[0] == 'M');
  if (reader.read(2, 2) != 42) {
    return kAsStored;
  }
  const size_t directory = reader.read(4, 4);
  const size_t count = reader.read(directory, 2);
  for (size_t i = 0; i < count; ++i) {
    const size_t entry = directory + 2 + i * kEntryBytes;
    if (entry >= tiff.size()) {
      break;
    }
    if (reader.read(entry, 2) == kOrientationTag &&
        reader.read(entry + 2, 2) == kShortType) {
      const uint32_t value = reader.read(entry + 8, 2);
      return value >= 1 && value <= 8 ? static_cast<int>(value) : kAsStored;
    }
  }
  return kAsStored;
}

}  // namespace dblocks::data
