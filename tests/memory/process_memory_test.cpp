// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "dblocks/memory/meter.h"

namespace dblocks::memory {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

TEST(ProcessMemoryTest, ResidentBytesGrowWithTouchedMemory) {
  const int64_t before = process_resident_bytes();
  EXPECT_GT(before, kMiB);
  std::vector<char> touched(64 * kMiB, 1);
  EXPECT_EQ(touched[12345], 1);
  EXPECT_GT(process_resident_bytes(), before + 60 * kMiB);
}

TEST(ProcessMemoryTest, PeakRemembersMemoryThatIsGone) {
  const int64_t before = process_resident_bytes();
  {
    std::vector<char> touched(96 * kMiB, 1);
    EXPECT_EQ(touched[12345], 1);
  }
  EXPECT_GT(process_peak_resident_bytes(), before + 90 * kMiB);
  EXPECT_GE(process_peak_resident_bytes(), process_resident_bytes());
}

}  // namespace
}  // namespace dblocks::memory
