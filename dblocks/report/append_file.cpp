// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "dblocks/core/file_system.h"

namespace dblocks::report {

AppendFile::AppendFile(std::filesystem::path path, int64_t size_to_keep)
    : path_(std::move(path)),
      file_(::open(
          path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (file_ < 0) {
    throw_file_error("open the log", path_, errno);
  }
  if (::ftruncate(file_, size_to_keep) != 0) {
    const int error = errno;
    ::close(file_);
    throw_file_error("shorten the log", path_, error);
  }
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}

AppendFile& AppendFile::operator=(AppendFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(file_, other.file_);
  return *this;
}

AppendFile::~AppendFile() {
  if (file_ >= 0) {
    ::close(file_);
  }
}

void AppendFile::append(std::string_view entry) {
  struct stat before {};
  const bool is_known = ::fstat(file_, &before) == 0;
  ssize_t written = -1;
  do {
    written = ::write(file_, entry.data(), entry.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(entry.size())) {
    return;
  }
  const int error = written < 0 ? errno : ENOSPC;
  if (is_known && ::ftruncate(file_, before.st_size) != 0) {
    // Readers pass over an entry that is cut off.
  }
  throw_file_error("append to the log", path_, error);
}

void AppendFile::sync() {
  int result = 0;
  do {
    result = ::fsync(file_);
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    throw_file_error("sync the log", path_, errno);
  }
}

}  // namespace dblocks::report
