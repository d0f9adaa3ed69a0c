// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace dblocks::report {

/// A file that grows by whole entries, each written by a single write(), so
/// that readers and a killed process see whole entries.
///
/// *Threads*: one writer at a time, in one process.
class AppendFile {
 public:
  /// Opens or creates `path` and cuts it to `size_to_keep` bytes, at once.
  /// *Errors*: CheckpointError if the file cannot be written.
  AppendFile(std::filesystem::path path, int64_t size_to_keep);
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&& other) noexcept;
  ~AppendFile();

  /// *Errors*: DeviceError if the entry cannot be written (a full disk), in
  /// which case no part of it is left.
  void append(std::string_view entry);

  /// Makes what was written so far durable (fsync).
  /// *Errors*: DeviceError if that fails.
  void sync();

 private:
  std::filesystem::path path_;
  int file_ = -1;
};

}  // namespace dblocks::report
