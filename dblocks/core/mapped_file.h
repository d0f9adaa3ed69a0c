// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace dblocks {

/// A regular file mapped into memory to be read; pages are loaded when touched.
/// The file must not shrink while it is mapped.
class MappedFile {
 public:
  /// *Errors*: CheckpointError if `path` is missing, unreadable or not a
  /// regular file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  /// The bytes of the file; they stay in place when this object is moved.
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace dblocks
