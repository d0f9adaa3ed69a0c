// SPDX-License-Identifier: Apache-2.0
#include "dblocks/core/mapped_file.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "dblocks/core/file_descriptor.h"
#include "dblocks/core/file_system.h"

namespace dblocks {

MappedFile::MappedFile(const std::filesystem::path& path) {
  const internal::FileDescriptor file = internal::open_regular_file(path);
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) {
    throw_file_error("take the size of", path, errno);
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) {
    return;  // an empty mapping is an error to the system, not to us
  }
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (data == MAP_FAILED) {
    throw_file_error("map", path, errno);
  }
  bytes_ = {static_cast<const std::byte*>(data), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) {
    ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace dblocks
