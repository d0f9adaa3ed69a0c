// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/page_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <thread>

#include "dblocks/core/file_descriptor.h"
#include "dblocks/core/file_system.h"

namespace dblocks::memory {
namespace {

using internal::FileDescriptor;

bool is_aligned(std::span<const std::byte> bytes) {
  return reinterpret_cast<uintptr_t>(bytes.data()) % PageFile::kAlignment ==
             0 &&
         bytes.size() % PageFile::kAlignment == 0;
}

/// Opens past the page cache, or through it where that is not supported or a
/// state is so small that the cache only helps.
FileDescriptor open_file(const std::filesystem::path& path,
                         int flags,
                         size_t size) {
  const int direct = size >= PageFile::kPageBytes ? O_DIRECT : 0;
  int number = ::open(path.c_str(), flags | O_CLOEXEC | direct, 0666);
  if (number < 0 && errno == EINVAL) {
    number = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  }
  return FileDescriptor(number);
}

void drop_from_cache(const FileDescriptor& file, size_t size) {
  if (size >= PageFile::kPageBytes) {
    ::posix_fadvise(file.number(), 0, 0, POSIX_FADV_DONTNEED);
  }
}

size_t page_count(size_t size) {
  return (size + PageFile::kPageBytes - 1) / PageFile::kPageBytes;
}

template <class Byte>
std::span<Byte> page_of(std::span<Byte> bytes, size_t page) {
  const size_t begin = page * PageFile::kPageBytes;
  return bytes.subspan(begin,
                       std::min(PageFile::kPageBytes, bytes.size() - begin));
}

/// How many pages of a state, from the first on, one thread is done with, for
/// another to wait for.
class Progress {
 public:
  void reach(size_t count) {
    count_.store(count);
    count_.notify_all();
  }
  /// Nothing more will come.
  void stop() { reach(kStopped); }
  /// Waits until `count` pages are done; false if that will not be.
  bool wait_for(size_t count) const {
    size_t reached = count_.load();
    while (reached < count) {
      count_.wait(reached);
      reached = count_.load();
    }
    return reached != kStopped;
  }

 private:
  static constexpr size_t kStopped = SIZE_MAX;

  std::atomic<size_t> count_{0};
};

/// Hashes pages on a thread of its own, each as soon as it may be read.
class PageHasher {
 public:
  explicit PageHasher(std::span<const std::byte> bytes)
      : hashes_(page_count(bytes.size())), thread_([this, bytes] {
          for (size_t page = 0; page < hashes_.size(); ++page) {
            if (!allowed_.wait_for(page + 1)) {
              return;
            }
            hashes_[page] = hash_bytes(page_of(bytes, page));
            hashed_.reach(page + 1);
          }
        }) {}
  ~PageHasher() { allowed_.stop(); }

  /// The first `count` pages may be read.
  void allow(size_t count) { allowed_.reach(count); }
  /// Waits until the first `count` pages, which must have been allowed, have
  /// been read.
  void wait_for(size_t count) const { hashed_.wait_for(count); }
  /// The hashes of all pages, which must have been allowed.
  std::vector<Hash128> finish() {
    thread_.join();
    return std::move(hashes_);
  }

 private:
  std::vector<Hash128> hashes_;
  Progress allowed_, hashed_;
  std::jthread thread_;  // last: it uses the others
};

/// Repeats `transfer` until all of `bytes` are through; false at the end of the
/// file. errno holds the reason if -1 comes back.
template <class Byte, class Transfer>
ssize_t transfer_all(std::span<Byte> bytes, off_t offset, Transfer transfer) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = transfer(bytes.data() + done, bytes.size() - done,
                                   offset + static_cast<off_t>(done));
    if (count == 0) {
      break;
    }
    if (count < 0 && errno != EINTR) {
      return -1;
    }
    done += static_cast<size_t>(std::max<ssize_t>(count, 0));
  }
  return static_cast<ssize_t>(done);
}

[[noreturn]] void throw_damage(const std::filesystem::path& path,
                               size_t offset,
                               const std::string& found) {
  throw PageError(fmt::format(
      "[pager] {}: expected the page at offset {} as it was written, found {}",
      path.string(), offset, found));
}

}  // namespace

void PageFile::write(std::span<const std::byte> bytes) {
  write_before(bytes, [](size_t) {});
}

void PageFile::read(std::span<std::byte> bytes) {
  read_after(bytes, [](size_t) { return true; });
}

void PageFile::exchange(PageFile& out,
                        std::span<const std::byte> out_bytes,
                        PageFile& in,
                        std::span<std::byte> in_bytes) {
  DBLOCKS_ASSERT(out_bytes.data() == in_bytes.data() && &out != &in,
                 "two states of one place in memory");
  const size_t last = page_count(out_bytes.size());
  Progress written;
  std::exception_ptr failure;
  std::thread writer([&] {
    try {
      out.write_before(out_bytes, [&](size_t count) { written.reach(count); });
    } catch (...) {
      failure = std::current_exception();
      written.stop();
    }
  });
  std::exception_ptr damage;
  try {
    in.read_after(in_bytes, [&](size_t page) {
      return written.wait_for(std::min(page + 1, last));
    });
  } catch (...) {
    damage = std::current_exception();
  }
  writer.join();
  if (failure || damage) {
    std::rethrow_exception(failure ? failure : damage);
  }
}

/// Calls `after_each(count)` when the first `count` pages are written and
/// hashed, so that their memory may change.
template <class AfterEach>
void PageFile::write_before(std::span<const std::byte> bytes,
                            AfterEach after_each) {
  DBLOCKS_ASSERT(is_aligned(bytes), "pages must be aligned");
  hashes_.clear();
  const FileDescriptor file =
      open_file(path_, O_WRONLY | O_CREAT, bytes.size());
  if (file.number() < 0) {
    throw_file_error("create", path_, errno);
  }
  PageHasher hasher(bytes);
  const size_t count = page_count(bytes.size());
  hasher.allow(count);
  for (size_t page = 0; page < count; ++page) {
    const auto piece = page_of(bytes, page);
    const ssize_t written =
        transfer_all(piece, static_cast<off_t>(page * kPageBytes),
                     [&](const void* data, size_t size, off_t offset) {
                       return ::pwrite(file.number(), data, size, offset);
                     });
    if (written != static_cast<ssize_t>(piece.size())) {
      throw_file_error("write", path_, written < 0 ? errno : ENOSPC);
    }
    hasher.wait_for(page + 1);
    after_each(page + 1);
  }
  drop_from_cache(file, bytes.size());
  hashes_ = hasher.finish();
}

/// Calls `before_each(page)` before it changes the memory of a page; if that
/// says no, the rest is not read.
template <class BeforeEach>
void PageFile::read_after(std::span<std::byte> bytes, BeforeEach before_each) {
  DBLOCKS_ASSERT(
      is_aligned(bytes) && page_count(bytes.size()) == hashes_.size(),
      "pages must be aligned and have been written");
  const FileDescriptor file = open_file(path_, O_RDONLY, bytes.size());
  if (file.number() < 0) {
    throw_damage(path_, 0, std::strerror(errno));
  }
  PageHasher hasher(bytes);
  for (size_t page = 0; page < hashes_.size(); ++page) {
    if (!before_each(page)) {
      return;
    }
    const auto piece = page_of(bytes, page);
    const size_t begin = page * kPageBytes;
    const ssize_t count =
        transfer_all(piece, static_cast<off_t>(begin),
                     [&](void* data, size_t size, off_t offset) {
                       return ::pread(file.number(), data, size, offset);
                     });
    if (count < 0) {
      throw_damage(path_, begin, std::strerror(errno));
    }
    if (count != static_cast<ssize_t>(piece.size())) {
      throw_damage(path_, begin, "the end of the file");
    }
    hasher.allow(page + 1);
  }
  drop_from_cache(file, bytes.size());
  const std::vector<Hash128> found = hasher.finish();
  for (size_t page = 0; page < found.size(); ++page) {
    if (found[page] != hashes_[page]) {
      throw_damage(path_, page * kPageBytes, "other bytes");
    }
  }
}

}  // namespace dblocks::memory
