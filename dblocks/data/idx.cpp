// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/idx.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <string>

#include "dblocks/core/error.h"
#include "dblocks/data/file_bytes.h"

namespace dblocks::data {
namespace {

constexpr uint32_t kMaxSamples = 1'000'000;
constexpr uint32_t kUnsignedByte = 8;

uint32_t big_endian(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 |
         uint32_t{bytes[2]} << 8 | uint32_t{bytes[3]};
}

// Collects the elements while the file streams by, so that neither a header
// nor a gzip bomb can make us hold more than the header's own size.
class IdxParser {
 public:
  IdxParser(std::string name, const std::vector<uint32_t>& shape)
      : name_(std::move(name)),
        shape_(shape),
        header_bytes_(4 * (shape.size() + 2)) {}

  bool add(const uint8_t* bytes, size_t size) {
    const size_t head = std::min(size, header_bytes_ - header_.size());
    header_.insert(header_.end(), bytes, bytes + head);
    if (head > 0 && header_.size() == header_bytes_) {
      parse_header();
    }
    const size_t body = size - head;
    DBLOCKS_CHECK(body <= expected_ - elements_.size(), DataError,
                  "[read_idx] expected {} bytes after the header, found more: "
                  "{}",
                  expected_, name_);
    elements_.insert(elements_.end(), bytes + head, bytes + size);
    return true;
  }

  std::vector<uint8_t> finish() {
    DBLOCKS_CHECK(header_.size() == header_bytes_, DataError,
                  "[read_idx] expected a header of {} bytes, found a file of "
                  "{} bytes: {}",
                  header_bytes_, header_.size(), name_);
    DBLOCKS_CHECK(elements_.size() == expected_, DataError,
                  "[read_idx] expected {} bytes after the header, found {}: "
                  "{}. Hint: the file is cut off; copy it again.",
                  expected_, elements_.size(), name_);
    return std::move(elements_);
  }

 private:
  void parse_header() {
    const uint32_t magic = big_endian(header_.data());
    const uint32_t expected_magic =
        kUnsignedByte << 8 | static_cast<uint32_t>(shape_.size() + 1);
    DBLOCKS_CHECK(magic == expected_magic, DataError,
                  "[read_idx] expected the magic number {}, found {}: {}",
                  expected_magic, magic, name_);
    const uint32_t count = big_endian(&header_[4]);
    DBLOCKS_CHECK(count >= 1 && count <= kMaxSamples, DataError,
                  "[read_idx] expected 1 to {} samples, found {}: {}",
                  kMaxSamples, count, name_);
    expected_ = count;
    for (size_t d = 0; d < shape_.size(); ++d) {
      const uint32_t extent = big_endian(&header_[8 + 4 * d]);
      DBLOCKS_CHECK(extent == shape_[d], DataError,
                    "[read_idx] expected samples of {}, found {} along "
                    "dimension {}: {}",
                    fmt::join(shape_, " x "), extent, d + 1, name_);
      expected_ *= extent;
    }
  }

  std::string name_;
  std::vector<uint32_t> shape_;
  size_t header_bytes_;
  std::vector<uint8_t> header_;
  size_t expected_ = 0;
  std::vector<uint8_t> elements_;
};

}  // namespace

std::vector<uint8_t> read_idx(const std::filesystem::path& path,
                              const std::vector<uint32_t>& shape) {
  IdxParser parser(path.string(), shape);
  read_file(path, [&](const uint8_t* bytes, size_t size) {
    return parser.add(bytes, size);
  });
  return parser.finish();
}

}  // namespace dblocks::data
