// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/meter.h"

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <cmath>

#include "dblocks/core/error.h"
#include "dblocks/memory/buffer_cache.h"

namespace dblocks::memory {
namespace {

constexpr size_t kSmallestKept = size_t{1} << 20;

std::atomic<int64_t> live_bytes{0};
std::atomic<int64_t> peak_bytes{0};
std::atomic<int64_t> most_bytes{0};  // 0 = no limit
std::atomic<bool> keep_freed{true};

// Never destroyed: tensors in static variables are freed after everything else.
BufferCache& cache() {
  static auto* instance = new BufferCache(CachingPolicy{}.limit_ratio);
  return *instance;
}

// In front of the bytes of every tensor; as long as their alignment.
struct alignas(c10::gAlignment) Header {
  size_t size;      // as asked for
  size_t capacity;  // of the buffer from the cache; 0 if it is not from there
};

void count(int64_t change) {
  const int64_t live =
      live_bytes.fetch_add(change, std::memory_order_relaxed) + change;
  int64_t peak = peak_bytes.load(std::memory_order_relaxed);
  while (live > peak && !peak_bytes.compare_exchange_weak(
                            peak, live, std::memory_order_relaxed)) {
  }
}

void free_metered(void* data) {
  if (data == nullptr) {
    return;
  }
  auto* header = static_cast<Header*>(data) - 1;
  count(-static_cast<int64_t>(header->size));
  if (header->capacity != 0) {
    cache().give({header, header->capacity});
    if (!keep_freed.load(std::memory_order_relaxed)) {
      cache().release();
    }
  } else {
    c10::free_cpu(header);
  }
}

void check_limit(size_t size) {
  const int64_t most = most_bytes.load(std::memory_order_relaxed);
  const int64_t live = live_bytes.load(std::memory_order_relaxed);
  DBLOCKS_CHECK(most == 0 || live + static_cast<int64_t>(size) <= most,
                OutOfMemoryError,
                "[memory] expected room for a tensor of {} bytes beside {} in "
                "use, found a limit of {}. Hint: use a smaller batch.",
                size, live, most);
}

void* allocate_from_system(size_t size) {
  try {
    return c10::alloc_cpu(size);
  } catch (const c10::Error& error) {
    throw OutOfMemoryError(fmt::format(
        "[memory] expected room for a tensor of {} bytes, found none: {}. "
        "Hint: use a smaller batch.",
        size, error.what_without_backtrace()));
  }
}

void* allocate_metered(size_t size) {
  if (size == 0) {
    return nullptr;
  }
  const size_t whole = size + sizeof(Header);
  DBLOCKS_CHECK(whole > size, DeviceError,
                "[memory] expected a sensible size, found {} bytes. Hint: a "
                "shape has overflowed.",
                size);
  check_limit(size);
  BufferCache::Buffer buffer;
  if (whole >= kSmallestKept && keep_freed.load(std::memory_order_relaxed)) {
    buffer = cache().take(whole);
  } else {
    buffer.data = allocate_from_system(whole);
  }
  auto* header = new (buffer.data) Header{size, buffer.capacity};
  count(static_cast<int64_t>(size));
  return header + 1;
}

// The context of a DataPtr is its data, as raw_allocate and raw_deallocate
// expect. Tensors made earlier carry their own deleter and never come here.
struct MeteredAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t size) override {
    void* data = allocate_metered(size);
    return {data, data, &free_metered, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_metered; }
  void copy_data(void* target,
                 const void* source,
                 std::size_t size) const override {
    default_copy_data(target, source, size);
  }
};

}  // namespace

void install_cpu_meter(const CachingPolicy& policy) {
  DBLOCKS_CHECK(std::isfinite(policy.limit_ratio) && policy.limit_ratio >= 1,
                ConfigError,
                "[install_cpu_meter] expected limit_ratio >= 1, found {}. "
                "Hint: 1.25 suits training.",
                policy.limit_ratio);
  cache().set_limit_ratio(policy.limit_ratio);
  keep_freed = policy.keep_freed;
  if (!policy.keep_freed) {
    release_kept_memory();
  }
  static auto* allocator = new MeteredAllocator;
  if (c10::GetCPUAllocator() != allocator) {
    c10::SetCPUAllocator(allocator, /*priority=*/1);
  }
}

int64_t cpu_live_bytes() {
  return live_bytes;
}

int64_t cpu_peak_bytes() {
  return peak_bytes;
}

void reset_cpu_peak() {
  peak_bytes = live_bytes.load();
}

void set_cpu_limit(int64_t bytes) {
  most_bytes = bytes;
}

int64_t cpu_kept_bytes() {
  return cache().kept_bytes();
}

void release_kept_memory() {
  cache().release();
}

}  // namespace dblocks::memory
