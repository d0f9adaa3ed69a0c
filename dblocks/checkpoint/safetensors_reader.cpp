// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "dblocks/checkpoint/safetensors.h"
#include "dblocks/checkpoint/safetensors_format.h"
#include "dblocks/checkpoint/safetensors_header.h"
#include "dblocks/core/error.h"

namespace dblocks::checkpoint {
namespace {

using internal::Header;
using internal::HeaderEntry;
using internal::kLengthBytes;
using internal::printable;

uint64_t header_length(std::span<const std::byte> bytes,
                       const std::string& path) {
  DBLOCKS_CHECK(bytes.size() > kLengthBytes, CheckpointError,
                "[safetensors] expected more than {} bytes, found {}: {}",
                kLengthBytes, bytes.size(), path);
  uint64_t length = 0;
  for (uint64_t i = 0; i < kLengthBytes; ++i) {
    length |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  }
  DBLOCKS_CHECK(length <= kMaxHeaderBytes, CheckpointError,
                "[safetensors] expected a header of at most {} bytes, found a "
                "length of {}: {}",
                kMaxHeaderBytes, length, path);
  DBLOCKS_CHECK(length <= bytes.size() - kLengthBytes, CheckpointError,
                "[safetensors] expected {} bytes of header, found the end of "
                "the file at byte {}: {}",
                length, bytes.size(), path);
  DBLOCKS_CHECK(length > 0 && bytes[kLengthBytes] == std::byte{'{'},
                CheckpointError, "[safetensors] expected '{{' at byte {}: {}",
                kLengthBytes, path);
  return length;
}

void check_size(const HeaderEntry& entry,
                uint64_t data_bytes,
                const std::string& path) {
  const TensorBytes& tensor = entry.tensor;
  const auto expected = internal::tensor_size_bytes(tensor.dtype, tensor.shape);
  DBLOCKS_CHECK(expected, CheckpointError,
                "[safetensors] shape is too large, tensor {}: {}",
                printable(tensor.name), path);
  DBLOCKS_CHECK(entry.begin <= entry.end, CheckpointError,
                "[safetensors] data_offsets are reversed, {} > {}, tensor {}: "
                "{}",
                entry.begin, entry.end, printable(tensor.name), path);
  DBLOCKS_CHECK(entry.end <= data_bytes, CheckpointError,
                "[safetensors] data_offsets end at {}, the file's data at {}, "
                "tensor {}: {}",
                entry.end, data_bytes, printable(tensor.name), path);
  DBLOCKS_CHECK(*expected == entry.end - entry.begin, CheckpointError,
                "[safetensors] dtype and shape ask for {} bytes, data_offsets "
                "hold {}, tensor {}: {}",
                *expected, entry.end - entry.begin, printable(tensor.name),
                path);
}

// Together the tensors must cover the data, each byte once.
void check_cover(std::vector<HeaderEntry>& entries,
                 uint64_t data_bytes,
                 const std::string& path) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  uint64_t covered = 0;
  for (const HeaderEntry& entry : entries) {
    DBLOCKS_CHECK(entry.begin >= covered, CheckpointError,
                  "[safetensors] data_offsets overlap, {} < {}, tensor {}: {}",
                  entry.begin, covered, printable(entry.tensor.name), path);
    DBLOCKS_CHECK(entry.begin == covered, CheckpointError,
                  "[safetensors] data bytes {} to {} belong to no tensor, "
                  "before tensor {}: {}",
                  covered, entry.begin, printable(entry.tensor.name), path);
    covered = entry.end;
  }
  DBLOCKS_CHECK(covered == data_bytes, CheckpointError,
                "[safetensors] data bytes {} to {} belong to no tensor: {}",
                covered, data_bytes, path);
}

void sort_by_name(std::vector<HeaderEntry>& entries, const std::string& path) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return a.tensor.name < b.tensor.name;
  });
  const auto twice = std::adjacent_find(entries.begin(), entries.end(),
                                        [](const auto& a, const auto& b) {
                                          return a.tensor.name == b.tensor.name;
                                        });
  DBLOCKS_CHECK(twice == entries.end(), CheckpointError,
                "[safetensors] duplicate tensor {}: {}",
                printable(twice->tensor.name), path);
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path), file_(path) {
  const std::string shown = path.string();
  const uint64_t length = header_length(file_.bytes(), shown);
  const auto json = file_.bytes().subspan(kLengthBytes, length);
  const auto data = file_.bytes().subspan(kLengthBytes + length);
  Header header = internal::parse_header(
      {reinterpret_cast<const char*>(json.data()), json.size()}, shown);
  for (const HeaderEntry& entry : header.entries) {
    check_size(entry, data.size(), shown);
  }
  check_cover(header.entries, data.size(), shown);
  sort_by_name(header.entries, shown);
  tensors_.reserve(header.entries.size());
  for (HeaderEntry& entry : header.entries) {
    entry.tensor.bytes = data.subspan(entry.begin, entry.end - entry.begin);
    tensors_.push_back(std::move(entry.tensor));
  }
  metadata_ = std::move(header.metadata);
}

const TensorBytes* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::lower_bound(
      tensors_.begin(), tensors_.end(), name,
      [](const TensorBytes& a, std::string_view b) { return a.name < b; });
  return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

const TensorBytes& SafetensorsFile::at(std::string_view name) const {
  const TensorBytes* tensor = find(name);
  DBLOCKS_CHECK(tensor != nullptr, CheckpointError,
                "[safetensors] expected a tensor {}, found none of that name: "
                "{}",
                printable(name), path_.string());
  return *tensor;
}

}  // namespace dblocks::checkpoint
