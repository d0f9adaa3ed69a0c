// SPDX-License-Identifier: Apache-2.0
// The seam between dblocks and the disk. Everything that must survive a crash
// goes through FileSystem, so that tests can stop it between any two operations
// and forget what was not synced.
//
// *Errors*: every operation that fails throws, naming the path and the system's
// reason: DeviceError when space, quota or the file size limit ran out,
// CheckpointError otherwise (missing, not permitted, read-only, damaged disk).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dblocks {

/// A file being written. Destroying it without sync_and_close() abandons the
/// file: it is closed, and nothing is promised about its bytes.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  /// Writes all of `bytes` after what was written before.
  virtual void append(std::span<const std::byte> bytes) = 0;
  /// Returns once the bytes are on the disk. The file's name is only durable
  /// after FileSystem::sync_folder() of its folder.
  virtual void sync_and_close() = 0;
};

/// Receives consecutive pieces of a file.
using ByteSink = std::function<void(std::span<const std::byte>)>;

/// Operations on files and folders.
///
/// *Threads*: the real one may be used from any thread.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// Creates `path`, or empties it if it exists.
  virtual std::unique_ptr<WritableFile> create(
      const std::filesystem::path& path) = 0;
  /// Renames a file or folder at once; replaces a file that is in the way.
  virtual void rename(const std::filesystem::path& from,
                      const std::filesystem::path& to) = 0;
  /// Makes names created, renamed and removed in `folder` durable.
  virtual void sync_folder(const std::filesystem::path& folder) = 0;
  /// Creates `folder` and its missing parents, durably. Not an error if it
  /// exists.
  virtual void make_folders(const std::filesystem::path& folder) = 0;
  /// Names of the entries of `folder`, sorted.
  virtual std::vector<std::string> list(
      const std::filesystem::path& folder) = 0;
  /// Removes a file, or a folder with all it holds; symbolic links are removed,
  /// not followed. Not an error if nothing is there.
  virtual void remove_all(const std::filesystem::path& path) = 0;
  virtual bool exists(const std::filesystem::path& path) = 0;
  /// Size of a regular file in bytes.
  virtual uint64_t file_size(const std::filesystem::path& path) = 0;
  /// Hands the bytes of a regular file to `sink`, at most 1 MiB at a time.
  virtual void read(const std::filesystem::path& path,
                    const ByteSink& sink) = 0;

  /// Creates `path` with these bytes and syncs it.
  void write_file(const std::filesystem::path& path, std::string_view text);
  /// The whole of a small file. *Errors*: CheckpointError if it is longer than
  /// `max_bytes`, before reading it.
  std::string read_file(const std::filesystem::path& path, uint64_t max_bytes);
};

/// The file system of this machine. Writes are repeated until complete when the
/// system interrupts or shortens them. A write beyond the file size limit is an
/// error, not the signal SIGXFSZ.
FileSystem& real_file_system();

/// The same without waiting for the disk: for files that need not outlive the
/// process.
FileSystem& scratch_file_system();

/// Throws the error for `error_number` (an errno value) met when trying to
/// `action` (for instance "write") `path`.
[[noreturn]] void throw_file_error(std::string_view action,
                                   const std::filesystem::path& path,
                                   int error_number);

}  // namespace dblocks
