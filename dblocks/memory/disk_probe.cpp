// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/disk_probe.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/core/file_descriptor.h"
#include "dblocks/core/file_system.h"

namespace dblocks::memory {
namespace {

using internal::FileDescriptor;
using Clock = std::chrono::steady_clock;
constexpr size_t kAlignment = 4096;

struct Free {
  void operator()(void* data) const { std::free(data); }
};
using Buffer = std::unique_ptr<void, Free>;

class Probe {
 public:
  Probe(const std::filesystem::path& folder, const DiskProbeOptions& options)
      : path_(folder / ".dblocks-bench-XXXXXX"),
        options_(options),
        file_(open_nameless(past_cache_)) {
    for (int i = 0; i < options_.in_flight; ++i) {
      Buffer& buffer = buffers_.emplace_back(
          std::aligned_alloc(kAlignment, options_.request_bytes));
      if (!buffer) {
        throw std::bad_alloc();
      }
      // Not zeros, which some disks do not store.
      std::memset(buffer.get(), 0x5a, options_.request_bytes);
    }
  }

  bool past_cache() const { return past_cache_; }

  /// Seconds of one pass over the file.
  double run(bool writes) {
    if (!past_cache_) {
      ::posix_fadvise(file_.number(), 0, 0, POSIX_FADV_DONTNEED);
    }
    next_ = 0;
    error_ = 0;
    const Clock::time_point start = Clock::now();
    {
      std::vector<std::jthread> threads;
      for (const Buffer& buffer : buffers_) {
        threads.emplace_back([&, data = buffer.get()] { move(writes, data); });
      }
    }
    if (writes && !past_cache_ && error_ == 0 &&
        ::fdatasync(file_.number()) != 0) {
      error_ = errno;
    }
    if (error_ != 0) {
      throw_file_error(writes ? "write" : "read", path_, error_);
    }
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

 private:
  /// A file whose name is removed at once.
  FileDescriptor open_nameless(bool& past_cache) {
    std::string name = path_.string();
    FileDescriptor file(::mkostemp(name.data(), O_CLOEXEC));
    if (file.number() < 0) {
      throw_file_error("create", path_, errno);
    }
    FileDescriptor direct(::open(name.c_str(), O_RDWR | O_CLOEXEC | O_DIRECT));
    ::unlink(name.c_str());
    past_cache = direct.number() >= 0;
    return past_cache ? std::move(direct) : std::move(file);
  }

  /// Takes requests until none is left or one has failed.
  void move(bool writes, void* data) {
    const size_t size = options_.request_bytes;
    while (error_ == 0) {
      const size_t begin = next_.fetch_add(size);
      if (begin >= options_.file_bytes) {
        return;
      }
      for (size_t done = 0; done < size;) {
        char* at = static_cast<char*>(data) + done;
        const auto offset = static_cast<off_t>(begin + done);
        const ssize_t count =
            writes ? ::pwrite(file_.number(), at, size - done, offset)
                   : ::pread(file_.number(), at, size - done, offset);
        if (count == 0 || (count < 0 && errno != EINTR)) {
          error_ = count == 0 ? EIO : errno;
          return;
        }
        done += static_cast<size_t>(std::max<ssize_t>(count, 0));
      }
    }
  }

  std::filesystem::path path_;
  DiskProbeOptions options_;
  bool past_cache_ = false;
  FileDescriptor file_;  // after past_cache_, which opening it sets
  std::vector<Buffer> buffers_;
  std::atomic<size_t> next_{0};
  std::atomic<int> error_{0};
};

}  // namespace

DiskRates measure_disk(const std::filesystem::path& folder,
                       const DiskProbeOptions& options) {
  DBLOCKS_ASSERT(options.request_bytes % kAlignment == 0 &&
                     options.file_bytes % options.request_bytes == 0 &&
                     options.in_flight > 0 && options.runs > 0,
                 "requests must be aligned and fill the file");
  Probe probe(folder, options);
  probe.run(true);
  std::vector<double> written, read;
  for (int i = 0; i < options.runs; ++i) {
    written.push_back(probe.run(true));
    read.push_back(probe.run(false));
  }
  const auto bytes = static_cast<double>(options.file_bytes);
  return {.write = spread_of(written).rate_of(bytes),
          .read = spread_of(read).rate_of(bytes),
          .past_cache = probe.past_cache()};
}

}  // namespace dblocks::memory
