// SPDX-License-Identifier: Apache-2.0
#include "dblocks/core/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <system_error>
#include <utility>

#include "dblocks/core/error.h"
#include "dblocks/core/file_descriptor.h"

namespace dblocks {
namespace {

using internal::FileDescriptor;
using std::filesystem::path;

constexpr size_t kPieceBytes = size_t{1} << 20;
// One write() call takes at most 2^31 bytes; smaller ones notice signals.
constexpr size_t kMaxWriteBytes = size_t{1} << 26;

// Turns SIGXFSZ, which would end the process, into the error EFBIG for writes
// of this thread while it lives.
class NoFileSizeSignal {
 public:
  NoFileSizeSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  }
  ~NoFileSizeSignal() {
    const timespec no_wait{};
    while (sigtimedwait(&signals_, nullptr, &no_wait) == SIGXFSZ) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t signals_{};
  sigset_t before_{};
};

// fsync(), repeated while signals interrupt it; 0 or the error.
int sync_descriptor(int descriptor) {
  while (::fsync(descriptor) != 0) {
    if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

void throw_if(const std::error_code& error,
              std::string_view action,
              const path& file) {
  if (error) {
    throw_file_error(action, file, error.value());
  }
}

bool is_folder(const path& folder) {
  std::error_code ignored;
  return std::filesystem::is_directory(folder, ignored);
}

class RealWritableFile : public WritableFile {
 public:
  RealWritableFile(path file, bool is_durable)
      : path_(std::move(file)),
        is_durable_(is_durable),
        descriptor_(::open(
            path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
    if (descriptor_.number() < 0) {
      throw_file_error("create", path_, errno);
    }
  }

  void append(std::span<const std::byte> bytes) override {
    const NoFileSizeSignal no_signal;
    while (!bytes.empty()) {
      const size_t wanted = std::min(bytes.size(), kMaxWriteBytes);
      const ssize_t written =
          ::write(descriptor_.number(), bytes.data(), wanted);
      if (written > 0) {
        bytes = bytes.subspan(static_cast<size_t>(written));
      } else if (written == 0 || errno != EINTR) {
        throw_file_error("write", path_, written == 0 ? ENOSPC : errno);
      }
    }
  }

  void sync_and_close() override {
    if (is_durable_) {
      if (const int error = sync_descriptor(descriptor_.number())) {
        throw_file_error("sync", path_, error);
      }
    }
    if (::close(descriptor_.release()) != 0 && errno != EINTR) {
      throw_file_error("close", path_, errno);
    }
  }

 private:
  path path_;
  bool is_durable_;
  FileDescriptor descriptor_;
};

class RealFileSystem : public FileSystem {
 public:
  explicit RealFileSystem(bool is_durable) : is_durable_(is_durable) {}

  std::unique_ptr<WritableFile> create(const path& file) override {
    return std::make_unique<RealWritableFile>(file, is_durable_);
  }

  void rename(const path& from, const path& to) override {
    if (std::rename(from.c_str(), to.c_str()) != 0) {
      throw_file_error("rename to " + to.string(), from, errno);
    }
  }

  void sync_folder(const path& folder) override {
    if (!is_durable_) {
      return;
    }
    const FileDescriptor descriptor(
        ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (descriptor.number() < 0) {
      throw_file_error("open", folder, errno);
    }
    // EINVAL: a file system that cannot sync folders, and need not.
    const int error = sync_descriptor(descriptor.number());
    if (error != 0 && error != EINVAL) {
      throw_file_error("sync", folder, error);
    }
  }

  void make_folders(const path& folder) override {
    if (folder.empty() || is_folder(folder)) {
      return;
    }
    make_folders(folder.parent_path());
    if (::mkdir(folder.c_str(), 0777) != 0) {
      const int error = errno;
      if (error == EEXIST && is_folder(folder)) {
        return;  // another process was faster, or a trailing slash
      }
      throw_file_error("create folder", folder, error);
    }
    const path parent = folder.parent_path();
    sync_folder(parent.empty() ? path(".") : parent);
  }

  std::vector<std::string> list(const path& folder) override {
    std::error_code error;
    std::vector<std::string> names;
    auto entry = std::filesystem::directory_iterator(folder, error);
    throw_if(error, "list", folder);
    while (entry != std::filesystem::directory_iterator()) {
      names.push_back(entry->path().filename().string());
      entry.increment(error);
      throw_if(error, "list", folder);
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  void remove_all(const path& file) override {
    std::error_code error;
    std::filesystem::remove_all(file, error);
    throw_if(error, "remove", file);
  }

  bool exists(const path& file) override {
    std::error_code error;
    const bool found = std::filesystem::exists(file, error);
    throw_if(error, "look for", file);
    return found;
  }

  uint64_t file_size(const path& file) override {
    std::error_code error;
    const uint64_t size = std::filesystem::file_size(file, error);
    throw_if(error, "take the size of", file);
    return size;
  }

  void read(const path& file, const ByteSink& sink) override {
    const FileDescriptor descriptor = internal::open_regular_file(file);
    std::vector<std::byte> piece(kPieceBytes);
    while (true) {
      const ssize_t count =
          ::read(descriptor.number(), piece.data(), piece.size());
      if (count == 0) {
        return;
      }
      if (count > 0) {
        sink(std::span(piece).first(static_cast<size_t>(count)));
      } else if (errno != EINTR) {
        throw_file_error("read", file, errno);
      }
    }
  }

 private:
  bool is_durable_;
};

}  // namespace

void FileSystem::write_file(const path& file, std::string_view text) {
  const std::unique_ptr<WritableFile> output = create(file);
  output->append(std::as_bytes(std::span(text)));
  output->sync_and_close();
}

std::string FileSystem::read_file(const path& file, uint64_t max_bytes) {
  std::string text;
  const auto check_size = [&](uint64_t size) {
    DBLOCKS_CHECK(size <= max_bytes, CheckpointError,
                  "[file_system] expected at most {} bytes, found {}: {}",
                  max_bytes, size, file.string());
  };
  check_size(file_size(file));
  read(file, [&](std::span<const std::byte> bytes) {
    check_size(text.size() + bytes.size());
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  return text;
}

FileSystem& real_file_system() {
  static RealFileSystem file_system(true);
  return file_system;
}

FileSystem& scratch_file_system() {
  static RealFileSystem file_system(false);
  return file_system;
}

void throw_file_error(std::string_view action,
                      const path& file,
                      int error_number) {
  const std::string reason = std::generic_category().message(error_number);
  if (error_number == ENOSPC || error_number == EDQUOT ||
      error_number == EFBIG) {
    throw DeviceError(
        fmt::format("[file_system] cannot {} {}: no space ({}). Hint: free "
                    "space or raise the quota or file size limit, then run the "
                    "same command again",
                    action, file.string(), reason));
  }
  throw CheckpointError(fmt::format("[file_system] cannot {} {}: {}", action,
                                    file.string(), reason));
}

FileDescriptor internal::open_regular_file(const path& file) {
  FileDescriptor descriptor(
      ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (descriptor.number() < 0 || ::fstat(descriptor.number(), &status) != 0) {
    throw_file_error("open", file, errno);
  }
  DBLOCKS_CHECK(S_ISREG(status.st_mode), CheckpointError,
                "[file_system] expected a regular file, found something else: "
                "{}",
                file.string());
  return descriptor;
}

}  // namespace dblocks
