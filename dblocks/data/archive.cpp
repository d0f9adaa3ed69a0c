// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "dblocks/core/error.h"
#include "dblocks/core/file_descriptor.h"

namespace dblocks::data {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPieceBytes = size_t{1} << 16;
constexpr size_t kMaxNameBytes = 1024;

class Unpacker {
 public:
  Unpacker(const fs::path& path, const fs::path& into, ArchiveLimits limits)
      : path_(path), into_(into), limits_(limits) {
    archive_read_support_format_tar(archive_.get());
    archive_read_support_filter_gzip(archive_.get());
    archive_read_support_filter_none(archive_.get());
    check(
        archive_read_open_filename(archive_.get(), path.c_str(), kPieceBytes));
  }

  std::vector<std::string> unpack() {
    archive_entry* entry = nullptr;
    while (true) {
      const int state = archive_read_next_header(archive_.get(), &entry);
      if (state == ARCHIVE_EOF) {
        return std::move(files_);
      }
      check(state);
      unpack_entry(entry);
    }
  }

 private:
  void check(int state) const {
    DBLOCKS_CHECK(state == ARCHIVE_OK, DataError,
                  "[unpack_archive] expected a tar archive, found damage ({}): "
                  "{}",
                  archive_error_string(archive_.get()) != nullptr
                      ? archive_error_string(archive_.get())
                      : "no details",
                  path_.string());
  }

  void unpack_entry(archive_entry* entry) {
    const char* raw = archive_entry_pathname(entry);
    const std::string name = raw != nullptr ? raw : "";
    const fs::path relative = fs::path(name).lexically_normal();
    check_name(name, relative);
    const auto type = archive_entry_filetype(entry);
    const bool is_link = archive_entry_hardlink(entry) != nullptr ||
                         archive_entry_symlink(entry) != nullptr;
    DBLOCKS_CHECK(!is_link && (type == AE_IFREG || type == AE_IFDIR), DataError,
                  "[unpack_archive] expected plain files and folders, found a "
                  "link or device, entry '{}': {}",
                  name, path_.string());
    // Nothing but folders made here lies on the way: no link can be among them.
    if (type == AE_IFDIR) {
      fs::create_directories(into_ / relative);
      return;
    }
    DBLOCKS_CHECK(static_cast<int64_t>(files_.size()) < limits_.max_files,
                  DataError,
                  "[unpack_archive] expected at most {} files, found more: {}",
                  limits_.max_files, path_.string());
    fs::create_directories((into_ / relative).parent_path());
    unpack_file(name, into_ / relative);
    files_.push_back(relative.string());
  }

  void check_name(const std::string& name, const fs::path& relative) const {
    bool stays_inside = !name.empty() && name.size() <= kMaxNameBytes &&
                        fs::path(name).is_relative() && !relative.empty();
    // Before normalising: "a/../../b" may pass through a link.
    for (const fs::path& part : fs::path(name)) {
      stays_inside = stays_inside && part != "..";
    }
    DBLOCKS_CHECK(stays_inside, DataError,
                  "[unpack_archive] expected names inside the archive's own "
                  "folder, found '{}': {}",
                  name.substr(0, kMaxNameBytes), path_.string());
  }

  void unpack_file(const std::string& name, const fs::path& target) {
    const dblocks::internal::FileDescriptor file(
        ::open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    DBLOCKS_CHECK(file.number() >= 0, DataError,
                  "[unpack_archive] cannot write {} (entry '{}' of {}): {}",
                  target.string(), name, path_.string(), std::strerror(errno));
    std::vector<char> piece(kPieceBytes);
    while (true) {
      const la_ssize_t size =
          archive_read_data(archive_.get(), piece.data(), piece.size());
      if (size == 0) {
        break;
      }
      check(size < 0 ? static_cast<int>(size) : ARCHIVE_OK);
      written_ += static_cast<uint64_t>(size);
      DBLOCKS_CHECK(written_ <= limits_.max_bytes, DataError,
                    "[unpack_archive] expected at most {} bytes unpacked, "
                    "found more in entry '{}': {}",
                    limits_.max_bytes, name, path_.string());
      write_all(file.number(), piece.data(), static_cast<size_t>(size), target);
    }
    DBLOCKS_CHECK(::fsync(file.number()) == 0, DeviceError,
                  "[unpack_archive] cannot write {}: {}", target.string(),
                  std::strerror(errno));
  }

  static void write_all(int file,
                        const char* bytes,
                        size_t size,
                        const fs::path& target) {
    while (size > 0) {
      const ssize_t count = ::write(file, bytes, size);
      DBLOCKS_CHECK(count >= 0 || errno == EINTR, DeviceError,
                    "[unpack_archive] cannot write {}: {}", target.string(),
                    std::strerror(errno));
      bytes += std::max<ssize_t>(count, 0);
      size -= static_cast<size_t>(std::max<ssize_t>(count, 0));
    }
  }

  fs::path path_;
  fs::path into_;
  ArchiveLimits limits_;
  std::unique_ptr<archive, int (*)(archive*)> archive_{archive_read_new(),
                                                       &archive_read_free};
  std::vector<std::string> files_;
  uint64_t written_ = 0;
};

}  // namespace

std::vector<std::string> unpack_archive(const fs::path& archive,
                                        const fs::path& into,
                                        const ArchiveLimits& limits) {
  return Unpacker(archive, into, limits).unpack();
}

}  // namespace dblocks::data
