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
/// *Threads*: one at a time; helper threads hash beside the transfer.
class PageFile {
 public:
  /// Bytes that share one hash.
  static constexpr size_t kPageBytes = size_t{8} << 20;
  /// Transfers start at, and are whole multiples of, this.
  static constexpr size_t kAlignment = 4096;

  explicit PageFile(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }

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

  /// Replaces in memory the state `out_bytes` by the state `in_bytes`, which
  /// starts at the same address: the first is written to `out` while the second
  /// is read from `in`, each page as soon as what lay in its place is on its
  /// way. Requires: as write() and read(). *Errors*: those of write(), after
  /// which neither state is in memory and `out` has no content; those of
  /// read(), with `out` written.
  static void exchange(PageFile& out,
                       std::span<const std::byte> out_bytes,
                       PageFile& in,
                       std::span<std::byte> in_bytes);

 private:
  template <class BeforeEach>
  void read_after(std::span<std::byte> bytes, BeforeEach before_each);
  template <class AfterEach>
  void write_before(std::span<const std::byte> bytes, AfterEach after_each);

  std::filesystem::path path_;
  std::vector<Hash128> hashes_;  // one per page
};

}  // namespace dblocks::memory
