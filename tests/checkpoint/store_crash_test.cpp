// SPDX-License-Identifier: Apache-2.0
// Stops a commit at every operation on the disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dblocks/checkpoint/store.h"
#include "dblocks/core/error.h"
#include "tests/checkpoint/faulty_file_system.h"
#include "tests/checkpoint/sample.h"
#include "tests/checkpoint/temporary_folder.h"

namespace dblocks::checkpoint {
namespace {

using testing::commit_sample;
using testing::Crash;
using ::testing::Each;
using testing::Fault;
using testing::FaultyFileSystem;
using ::testing::HasSubstr;
using testing::holds_sample;
using ::testing::StartsWith;
using testing::TemporaryFolder;
using testing::write_bytes;

constexpr uint64_t kNumSeeds = 6;
constexpr uint64_t kLoseNothing = kNumSeeds;

// Steps 1 and 2 are committed; then step 3 is, and meets a fault.
class Scene {
 public:
  explicit Scene(bool is_damaged) {
    CheckpointStore store(disk_, folder());
    commit_sample(store, 1);
    commit_sample(store, 2);
    if (is_damaged) {  // step 3 exists, but is not whole
      std::filesystem::copy(store.step_folder(2), store.step_folder(3));
      write_bytes(store.step_folder(3) / kStateName, "damaged");
    }
  }

  std::filesystem::path folder() const { return root_.path() / "checkpoints"; }
  FaultyFileSystem& disk() { return disk_; }

  // Whether the commit returned.
  bool commit(Fault fault, int64_t operation) {
    CheckpointStore store(disk_, folder());
    disk_.arm(fault, operation);
    try {
      commit_sample(store, 3);
      return true;
    } catch (const Crash&) {
    } catch (const Error& error) {
      message_ = error.what();
      code_ = error.code();
    }
    return false;
  }

  const std::string& message() const { return message_; }
  ExitCode code() const { return code_; }

 private:
  TemporaryFolder root_;
  FaultyFileSystem disk_{root_ / "graveyard"};
  std::string message_;
  ExitCode code_ = ExitCode::kDone;
};

// A process that starts anew finds the old or the new checkpoint, whole, and
// can go on.
void expect_old_or_new(const std::filesystem::path& folder,
                       bool must_be_new,
                       bool may_reject) {
  FaultyFileSystem disk(folder.parent_path() / "graveyard_after");
  CheckpointStore store(disk, folder);
  store.remove_leftovers();
  EXPECT_THAT(real_file_system().list(folder), Each(StartsWith("step_")));
  const auto newest = store.newest_verified();
  ASSERT_TRUE(newest.checkpoint);
  EXPECT_TRUE(newest.checkpoint->step == 3 ||
              (newest.checkpoint->step == 2 && !must_be_new));
  EXPECT_TRUE(holds_sample(*newest.checkpoint));
  EXPECT_TRUE(newest.rejected.empty() || may_reject);
  // At least two whole ones at all times.
  EXPECT_TRUE(store.find(newest.checkpoint->step - 1).has_value());
  commit_sample(store, 3);
  EXPECT_EQ(store.newest_verified().checkpoint->step, 3);
}

class StoreCrashTest : public ::testing::TestWithParam<bool> {};

TEST_P(StoreCrashTest, ACrashAtAnyOperationLeavesTheOldOrTheNewCheckpoint) {
  for (uint64_t seed = 0; seed <= kNumSeeds; ++seed) {
    bool is_done = false;
    int64_t operation = 0;
    for (; !is_done; ++operation) {
      SCOPED_TRACE("operation " + std::to_string(operation) + ", seed " +
                   std::to_string(seed));
      Scene scene(GetParam());
      is_done = scene.commit(Fault::kCrash, operation);
      if (seed != kLoseNothing) {
        scene.disk().lose_unsynced(seed);
      }
      expect_old_or_new(scene.folder(), is_done, GetParam());
      if (HasFatalFailure()) {
        return;
      }
    }
    EXPECT_GT(operation, 20);  // the commit has that many steps at least
  }
}

TEST_P(StoreCrashTest, AnErrorAtAnyOperationIsReportedAndLeavesNothingBehind) {
  bool is_past_the_end = false;
  int num_reported = 0;
  for (int64_t operation = 0; !is_past_the_end; ++operation) {
    SCOPED_TRACE("operation " + std::to_string(operation));
    Scene scene(GetParam());
    const bool is_done = scene.commit(Fault::kFail, operation);
    is_past_the_end = scene.disk().num_operations() <= operation;
    num_reported += is_done ? 0 : 1;
    CheckpointStore store(real_file_system(), scene.folder());
    EXPECT_EQ(store.newest_verified().checkpoint->step, is_done ? 3 : 2);
    if (!is_done) {
      EXPECT_EQ(scene.code(), ExitCode::kCheckpoint);
      EXPECT_FALSE(
          std::filesystem::exists(scene.folder() / "tmp_step_000000003"));
    }
    // What was reported as saved survives a loss of power.
    scene.disk().lose_unsynced(0);
    expect_old_or_new(scene.folder(), is_done, GetParam());
  }
  EXPECT_GT(num_reported, 15);
}

TEST_P(StoreCrashTest, AFullDiskAtAnyWriteIsReportedAndLeavesNothingBehind) {
  int num_reported = 0;
  for (int64_t operation = 0;; ++operation) {
    SCOPED_TRACE("operation " + std::to_string(operation));
    Scene scene(GetParam());
    if (scene.commit(Fault::kDiskFull, operation)) {
      break;
    }
    ++num_reported;
    EXPECT_EQ(scene.code(), ExitCode::kDevice);
    EXPECT_THAT(scene.message(), HasSubstr("no space"));
    EXPECT_THAT(real_file_system().list(scene.folder()),
                Each(StartsWith("step_")));
    expect_old_or_new(scene.folder(), false, GetParam());
  }
  EXPECT_GT(num_reported, 10);
}

INSTANTIATE_TEST_SUITE_P(Store,
                         StoreCrashTest,
                         ::testing::Values(false, true),
                         [](const auto& test) {
                           return test.param ? "OverADamagedStep" : "NewStep";
                         });

}  // namespace
}  // namespace dblocks::checkpoint
