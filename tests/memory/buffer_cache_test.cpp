// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/buffer_cache.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/memory/malloc_policy.h"

namespace dblocks::memory {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

TEST(BufferCacheTest, BufferOfTheSameSizeComesBack) {
  BufferCache cache(1.0);
  const auto first = cache.take(5 * kMiB);
  std::memset(first.data, 1, 5 * kMiB);
  cache.give(first);
  EXPECT_EQ(cache.kept_bytes(), static_cast<int64_t>(first.capacity));
  const auto second = cache.take(5 * kMiB);
  EXPECT_EQ(second.data, first.data);
  EXPECT_EQ(cache.kept_bytes(), 0);
  cache.give(second);
}

TEST(BufferCacheTest, SmallestBufferThatFitsIsTaken) {
  BufferCache cache(1.0);
  const auto large = cache.take(66 * kMiB);
  const auto fitting = cache.take(64 * kMiB);
  const auto small = cache.take(62 * kMiB);
  cache.give(large);
  cache.give(fitting);
  cache.give(small);
  const auto taken = cache.take(63 * kMiB);
  EXPECT_EQ(taken.data, fitting.data);
  cache.give(taken);
}

TEST(BufferCacheTest, MuchLargerBufferIsNotWastedOnASmallRequest) {
  BufferCache cache(4.0);
  const auto large = cache.take(64 * kMiB);
  cache.give(large);
  const auto small = cache.take(32 * kMiB);
  EXPECT_NE(small.data, large.data);
  EXPECT_EQ(small.capacity, 32 * kMiB);
  cache.give(small);
}

TEST(BufferCacheTest, OldestBuffersGoWhenTheLimitIsReached) {
  BufferCache cache(1.5);
  const auto first = cache.take(20 * kMiB);
  cache.give(first);
  const auto second = cache.take(10 * kMiB);
  cache.give(second);
  EXPECT_EQ(cache.kept_bytes(), static_cast<int64_t>(30 * kMiB));
  const auto third = cache.take(4 * kMiB);  // 34 of 30 MiB: the first must go
  EXPECT_EQ(cache.kept_bytes(), static_cast<int64_t>(10 * kMiB));
  cache.give(third);
}

TEST(BufferCacheTest, GrowingNeedsAreMetWithoutKeepingOldSizes) {
  BufferCache cache(1.25);
  for (size_t size = 1; size <= 40; ++size) {
    const auto buffer = cache.take(size * kMiB);
    EXPECT_GE(buffer.capacity, size * kMiB);
    cache.give(buffer);
    EXPECT_LE(cache.kept_bytes(), static_cast<int64_t>(1.25 * 40 * kMiB));
  }
  cache.release();
  EXPECT_EQ(cache.kept_bytes(), 0);
}

TEST(BufferCacheTest, ImpossibleRequestIsADeviceError) {
  BufferCache cache(1.25);
  EXPECT_THROW(cache.take(size_t{1} << 60), DeviceError);
  EXPECT_THROW(cache.take(SIZE_MAX - 5), DeviceError);
  const auto buffer = cache.take(kMiB);  // still of use
  cache.give(buffer);
}

int64_t page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

// In a process of its own, because the policy cannot be taken back.
int faults_after_first_round() {
  if (!keep_freed_memory()) {
    return 2;
  }
  int64_t faults = 0;
  for (int round = 0; round < 3; ++round) {
    faults = page_faults();
    for (int i = 0; i < 4; ++i) {
      void* data = nullptr;
      if (posix_memalign(&data, 64, 40 * kMiB) != 0) {
        return 3;
      }
      std::memset(data, 1, 40 * kMiB);
      free(data);
    }
    faults = page_faults() - faults;
  }
  return faults < 50 ? 0 : 1;
}

TEST(MallocPolicyTest, FreedMemoryIsReusedWithoutPageFaults) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer brings its own malloc";
#endif
  const pid_t child = fork();
  if (child == 0) {
    _exit(faults_after_first_round());
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0) << "1: faults, 2: no policy, 3: no memory";
}

}  // namespace
}  // namespace dblocks::memory
