// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <filesystem>
#include <utility>

namespace dblocks::internal {

/// Owns an open file descriptor.
class FileDescriptor {
 public:
  explicit FileDescriptor(int number) : number_(number) {}
  FileDescriptor(FileDescriptor&& other) noexcept
      : number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~FileDescriptor() {
    if (number_ >= 0) {
      ::close(number_);
    }
  }

  int number() const { return number_; }
  /// Gives the descriptor up to the caller.
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

/// Opens a regular file to read it; never waits, not even for a named pipe.
/// *Errors*: CheckpointError.
FileDescriptor open_regular_file(const std::filesystem::path& path);

}  // namespace dblocks::internal
