// SPDX-License-Identifier: Apache-2.0
#include "tests/hostile/limits.h"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <new>

namespace {

// The tests of this folder run in one thread.
size_t live_bytes = 0;
size_t peak_bytes = 0;
size_t start_bytes = 0;
double start_seconds = 0;

// Time of this thread, so that a busy machine does not fail a test.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) +
         1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

void* operator new(size_t size) {
  void* memory = std::malloc(size);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  live_bytes += malloc_usable_size(memory);
  peak_bytes = std::max(peak_bytes, live_bytes);
  return memory;
}

void operator delete(void* memory) noexcept {
  live_bytes -= malloc_usable_size(memory);
  std::free(memory);
}

void operator delete(void* memory, size_t) noexcept {
  ::operator delete(memory);
}

namespace dblocks::testing {

void start_counting() {
  start_bytes = peak_bytes = live_bytes;
  start_seconds = thread_seconds();
}

Cost cost_so_far() {
  return {thread_seconds() - start_seconds, peak_bytes - start_bytes};
}

}  // namespace dblocks::testing
