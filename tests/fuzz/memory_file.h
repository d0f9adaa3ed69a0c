// SPDX-License-Identifier: Apache-2.0
// Our readers take paths; a fuzzer has bytes. A file in memory has both.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace dblocks::fuzz {

class MemoryFile {
 public:
  MemoryFile(const uint8_t* data, size_t size)
      : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    if (descriptor_ < 0 ||
        ::write(descriptor_, data, size) != static_cast<ssize_t>(size)) {
      std::abort();
    }
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::filesystem::path path() const {
    return "/proc/self/fd/" + std::to_string(descriptor_);
  }

 private:
  int descriptor_;
};

/// Takes the first byte off the input, to choose between kinds of file; 0 if
/// there is none.
inline uint8_t take_choice(const uint8_t*& data, size_t& size) {
  if (size == 0) {
    return 0;
  }
  --size;
  return *data++;
}

}  // namespace dblocks::fuzz
