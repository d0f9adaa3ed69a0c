// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/disk_probe.h"

#include <gtest/gtest.h>

#include "dblocks/core/error.h"
#include "tests/checkpoint/temporary_folder.h"

namespace dblocks::memory {
namespace {

TEST(DiskProbeTest, MeasuresBothWaysAndLeavesNothing) {
  const testing::TemporaryFolder folder;
  const DiskRates rates = measure_disk(
      folder.path(),
      {.file_bytes = 1 << 20, .request_bytes = 1 << 16, .runs = 3});
  for (const Spread& rate : {rates.write, rates.read}) {
    EXPECT_EQ(rate.runs, 3);
    EXPECT_GT(rate.min, 0);
    EXPECT_LE(rate.min, rate.median);
    EXPECT_LE(rate.median, rate.max);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(DiskProbeTest, NamesTheFolderThatTakesNoFile) {
  try {
    measure_disk("/proc/nothing/here");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("/proc/nothing/here"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace dblocks::memory
