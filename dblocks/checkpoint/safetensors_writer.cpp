// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "dblocks/checkpoint/safetensors.h"
#include "dblocks/checkpoint/safetensors_format.h"
#include "dblocks/core/error.h"

namespace dblocks::checkpoint {
namespace {

using internal::printable;

constexpr size_t kPieceBytes = size_t{1} << 20;

// Types in the order of their tensors in the file: larger elements first, so
// that every tensor is aligned to its element; among equals, the order of the
// reference implementation.
int position_of(DType dtype) {
  constexpr std::array kOrder = {
      DType::kI64, DType::kF64, DType::kF32, DType::kI32, DType::kBF16,
      DType::kF16, DType::kI16, DType::kI8,  DType::kU8,  DType::kBool};
  return static_cast<int>(std::find(kOrder.begin(), kOrder.end(), dtype) -
                          kOrder.begin());
}

using Ordered = std::vector<const TensorBytes*>;

Ordered in_file_order(std::span<const TensorBytes> tensors) {
  Ordered ordered;
  for (const TensorBytes& tensor : tensors) {
    ordered.push_back(&tensor);
  }
  std::sort(ordered.begin(), ordered.end(), [](const auto* a, const auto* b) {
    const int position_a = position_of(a->dtype);
    const int position_b = position_of(b->dtype);
    return position_a != position_b ? position_a < position_b
                                    : a->name < b->name;
  });
  return ordered;
}

void check_tensor(const TensorBytes& tensor, const std::string& path) {
  DBLOCKS_CHECK(!tensor.name.empty() && tensor.name != internal::kMetadataKey,
                CheckpointError, "[safetensors] {} cannot name a tensor: {}",
                printable(tensor.name), path);
  DBLOCKS_CHECK(tensor.shape.size() <= kMaxDimensions, CheckpointError,
                "[safetensors] expected at most {} dimensions, found {}, "
                "tensor {}: {}",
                kMaxDimensions, tensor.shape.size(), printable(tensor.name),
                path);
  const auto expected = internal::tensor_size_bytes(tensor.dtype, tensor.shape);
  DBLOCKS_CHECK(expected && *expected == tensor.bytes.size(), CheckpointError,
                "[safetensors] {} bytes do not fit the shape of tensor {}: {}",
                tensor.bytes.size(), printable(tensor.name), path);
}

void check_all(std::span<const TensorBytes> tensors,
               const Metadata& metadata,
               const std::string& path) {
  DBLOCKS_CHECK(tensors.size() <= kMaxTensors, CheckpointError,
                "[safetensors] expected at most {} tensors, found {}: {}",
                kMaxTensors, tensors.size(), path);
  DBLOCKS_CHECK(metadata.size() <= kMaxMetadataEntries, CheckpointError,
                "[safetensors] expected at most {} metadata entries, found {}: "
                "{}",
                kMaxMetadataEntries, metadata.size(), path);
  std::vector<std::string_view> names;
  for (const TensorBytes& tensor : tensors) {
    check_tensor(tensor, path);
    names.push_back(tensor.name);
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  DBLOCKS_CHECK(twice == names.end(), CheckpointError,
                "[safetensors] two tensors are named {}: {}", printable(*twice),
                path);
}

std::string quoted(const std::string& text, const std::string& path) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw CheckpointError(fmt::format("[safetensors] {} is not UTF-8: {}",
                                      printable(text), path));
  }
}

std::string metadata_json(const Metadata& metadata, const std::string& path) {
  std::string json;
  for (const auto& [key, value] : metadata) {
    json += json.empty() ? "" : ",";
    json += quoted(key, path) + ":" + quoted(value, path);
  }
  return "{" + json + "}";
}

std::string header_json(const Ordered& tensors,
                        const Metadata& metadata,
                        const std::string& path) {
  std::string json = "{";
  if (!metadata.empty()) {
    json += "\"__metadata__\":" + metadata_json(metadata, path);
  }
  uint64_t begin = 0;
  for (const TensorBytes* tensor : tensors) {
    const uint64_t end = begin + tensor->bytes.size();
    json += json.size() > 1 ? "," : "";
    json += fmt::format(
        "{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
        quoted(tensor->name, path), dtype_name(tensor->dtype),
        fmt::join(tensor->shape, ","), begin, end);
    begin = end;
  }
  json += "}";
  const uint64_t used =
      (internal::kLengthBytes + json.size()) % internal::kDataAlignment;
  json.append((internal::kDataAlignment - used) % internal::kDataAlignment,
              ' ');
  DBLOCKS_CHECK(json.size() <= kMaxHeaderBytes, CheckpointError,
                "[safetensors] expected a header of at most {} bytes, found "
                "{}: {}",
                kMaxHeaderBytes, json.size(), path);
  return json;
}

std::string little_endian(uint64_t number) {
  std::string bytes;
  for (uint64_t i = 0; i < internal::kLengthBytes; ++i) {
    bytes.push_back(static_cast<char>(number >> (8 * i) & 0xff));
  }
  return bytes;
}

}  // namespace

UnsyncedFile write_unsynced_safetensors(FileSystem& file_system,
                                        const std::filesystem::path& path,
                                        std::span<const TensorBytes> tensors,
                                        const Metadata& metadata) {
  check_all(tensors, metadata, path.string());
  const Ordered ordered = in_file_order(tensors);
  const std::string header = header_json(ordered, metadata, path.string());
  const std::string length = little_endian(header.size());

  std::unique_ptr<WritableFile> file = file_system.create(path);
  WrittenFile written;
  Hasher hasher;
  const auto append = [&](std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      // Small pieces, so that they are still in the cache when written.
      const auto piece = bytes.first(std::min(bytes.size(), kPieceBytes));
      hasher.update(piece);
      file->append(piece);
      written.size_bytes += piece.size();
      bytes = bytes.subspan(piece.size());
    }
  };
  append(std::as_bytes(std::span(length)));
  append(std::as_bytes(std::span(header)));
  for (const TensorBytes* tensor : ordered) {
    append(tensor->bytes);
  }
  written.hash = hasher.digest();
  return {written, std::move(file)};
}

WrittenFile write_safetensors(FileSystem& file_system,
                              const std::filesystem::path& path,
                              std::span<const TensorBytes> tensors,
                              const Metadata& metadata) {
  const UnsyncedFile unsynced =
      write_unsynced_safetensors(file_system, path, tensors, metadata);
  unsynced.file->sync_and_close();
  return unsynced.written;
}

}  // namespace dblocks::checkpoint
