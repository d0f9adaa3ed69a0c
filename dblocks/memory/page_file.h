// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/core/hash.h"

namespace dblocks::memory {

/// A page on disk is not what was written there.
class PageError : public CheckpointError {
 public:
  using CheckpointError::CheckpointError;
};

/// The state of one idle block on disk, scratch of this process: nothing is
/// synced, and the hashes of its pages are kept here, so that damage, a write
/// that was lost and another file in its place are all found.
///
/// States of at least kPageBytes move past the system's page cache (O_DIRECT)
/// where the file system allows it; elsewhere the cache is asked to drop them.
///
/// *Threads*: one at a time; a helper thread hashes beside the transfer.
class PageFile {
 public:
  /// Bytes that share one hash.
  static constexpr size_t kPageBytes = size_t{8} << 20;
  /// Transfers start at, and are whole multiples of, this.
  static constexpr size_t kAlignment = 4096;

  explicit PageFile(std::filesystem::path path) : path_(std::move(path)) {}

  /// Whether something was written that has not been forgotten.
  bool has_content() const { return !hashes_.empty(); }
  void forget() { hashes_.clear(); }

  /// Replaces the content. Requires: `bytes` starts on a multiple of kAlignment
  /// and has such a size. *Errors*: those of throw_file_error().
  void write(std::span<const std::byte> bytes);

  /// Reads everything back. Requires: as write(), and as many bytes as written.
  /// *Errors*: PageError naming the file and the offset of the first page that
  /// is missing, cannot be read or is damaged; `bytes` is undefined then.
  void read(std::span<std::byte> bytes);

 private:
  std::filesystem::path path_;
  std::vector<Hash128> hashes_;  // one per page
};

}  // namespace dblocks::memory
