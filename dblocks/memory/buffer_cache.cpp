// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/buffer_cache.h"

#include <sys/mman.h>

#include <algorithm>

#include "dblocks/core/error.h"

namespace dblocks::memory {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

// Maps `size` bytes that start on a huge page; nullptr if that fails.
void* map_aligned(size_t size) {
  const size_t mapped_size = size + kHugePage;
  void* mapped = ::mmap(nullptr, mapped_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) {
    return nullptr;
  }
  char* begin = static_cast<char*>(mapped);
  const size_t misfit = reinterpret_cast<uintptr_t>(begin) % kHugePage;
  const size_t skipped = misfit == 0 ? 0 : kHugePage - misfit;
  if (skipped != 0) {
    ::munmap(begin, skipped);
  }
  if (skipped != kHugePage) {
    ::munmap(begin + skipped + size, kHugePage - skipped);
  }
  // Only advice: without it everything works, with more page faults.
  ::madvise(begin + skipped, size, MADV_HUGEPAGE);
  return begin + skipped;
}

}  // namespace

BufferCache::BufferCache(double limit_ratio) : limit_ratio_(limit_ratio) {}

BufferCache::~BufferCache() {
  release();
}

BufferCache::Buffer BufferCache::take(size_t bytes) {
  const std::scoped_lock lock(mutex_);
  DBLOCKS_CHECK(bytes < SIZE_MAX / 4, DeviceError,
                "[memory] expected a sensible size, found {} bytes. Hint: a "
                "shape has overflowed.",
                bytes);
  const size_t size = (bytes + kGranularity - 1) / kGranularity * kGranularity;
  Buffer buffer = take_kept(size);
  if (buffer.data == nullptr) {
    buffer = take_new(size);
  }
  taken_bytes_ += buffer.capacity;
  most_taken_bytes_ = std::max(most_taken_bytes_, taken_bytes_);
  return buffer;
}

BufferCache::Buffer BufferCache::take_kept(size_t size) {
  const auto found = kept_.lower_bound(size);
  if (found == kept_.end() || found->first > size + size / 8) {
    return {};
  }
  const Buffer buffer{found->second.data, found->first};
  kept_bytes_ -= buffer.capacity;
  kept_.erase(found);
  return buffer;
}

BufferCache::Buffer BufferCache::take_new(size_t size) {
  // Room is made first, so that the limit holds at every moment.
  const size_t most = std::max(most_taken_bytes_, taken_bytes_ + size);
  const auto all =
      static_cast<size_t>(limit_ratio_ * static_cast<double>(most));
  trim(all - taken_bytes_ - size);
  void* data = map_aligned(size);
  if (data == nullptr) {
    trim(0);
    data = map_aligned(size);
  }
  DBLOCKS_CHECK(data != nullptr, OutOfMemoryError,
                "[memory] expected room for a tensor of {} MiB beside {} MiB "
                "in use, found none. Hint: use a smaller batch.",
                size >> 20, taken_bytes_ >> 20);
  return {data, size};
}

void BufferCache::give(Buffer buffer) {
  const std::scoped_lock lock(mutex_);
  taken_bytes_ -= buffer.capacity;
  kept_bytes_ += buffer.capacity;
  kept_.emplace(buffer.capacity, Kept{buffer.data, clock_++});
  trim(limit() - taken_bytes_);
}

void BufferCache::trim(size_t limit) {
  while (kept_bytes_ > limit) {
    const auto oldest = std::min_element(kept_.begin(), kept_.end(),
                                         [](const auto& a, const auto& b) {
                                           return a.second.age < b.second.age;
                                         });
    ::munmap(oldest->second.data, oldest->first);
    kept_bytes_ -= oldest->first;
    kept_.erase(oldest);
  }
}

size_t BufferCache::limit() const {
  return static_cast<size_t>(limit_ratio_ *
                             static_cast<double>(most_taken_bytes_));
}

void BufferCache::release() {
  const std::scoped_lock lock(mutex_);
  trim(0);
}

void BufferCache::set_limit_ratio(double limit_ratio) {
  const std::scoped_lock lock(mutex_);
  limit_ratio_ = limit_ratio;
  trim(limit() - std::min(limit(), taken_bytes_));
}

int64_t BufferCache::kept_bytes() const {
  const std::scoped_lock lock(mutex_);
  return static_cast<int64_t>(kept_bytes_);
}

}  // namespace dblocks::memory
