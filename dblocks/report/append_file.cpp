// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "dblocks/core/error.h"

namespace dblocks::report {
namespace {

std::string error_text(int error) {
  return std::generic_category().message(error);
}

}  // namespace

AppendFile::AppendFile(std::filesystem::path path,
                       int64_t size_to_keep,
                       std::string_view where)
    : path_(std::move(path)),
      where_(where),
      file_(::open(
          path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  DBLOCKS_CHECK(file_ >= 0, CheckpointError,
                "[{}] expected to write the log {}, found: {}. Hint: check the "
                "run folder and its permissions.",
                where_, path_.string(), error_text(errno));
  if (::ftruncate(file_, size_to_keep) != 0) {
    const int error = errno;
    ::close(file_);
    throw CheckpointError(fmt::format(
        "[{}] expected to shorten the log {}, found: {}. Hint: is it a regular "
        "file?",
        where_, path_.string(), error_text(error)));
  }
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)),
      where_(std::move(other.where_)),
      file_(std::exchange(other.file_, -1)) {}

AppendFile& AppendFile::operator=(AppendFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(where_, other.where_);
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
  const bool is_undone = is_known && ::ftruncate(file_, before.st_size) == 0;
  throw DeviceError(fmt::format(
      "[{}] expected to append {} bytes to {}, found: {}{}. Hint: make room on "
      "the disk and run the same command again.",
      where_, entry.size(), path_.string(), error_text(error),
      is_undone ? "" : ", and part of an entry is left"));
}

void AppendFile::sync() {
  int result = 0;
  do {
    result = ::fsync(file_);
  } while (result != 0 && errno == EINTR);
  DBLOCKS_CHECK(result == 0, DeviceError,
                "[{}] expected {} to reach the disk, found: {}. Hint: check "
                "the disk.",
                where_, path_.string(), error_text(errno));
}

}  // namespace dblocks::report
