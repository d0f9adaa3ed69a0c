// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/unit_commits.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include "dblocks/train/time_account.h"
#include "tests/train/toy_run.h"

namespace dblocks::train {
namespace {

using testing::TemporaryFolder;

class UnitCommitsTest : public ::testing::Test {
 protected:
  UnitCommitsTest() { commits_.begin(find_checkpoints(run_, setup_, 3)); }

  std::vector<checkpoint::CheckpointFile> files() const {
    return {checkpoint::text_file(checkpoint::kStateName, "{}")};
  }
  checkpoint::Manifest manifest(int64_t unit) const {
    return unit_manifest(setup_, *task_, unit, {});
  }
  /// The newest step that a new process would find.
  int64_t found_step(int64_t unit) {
    const auto found =
        unit_store(run_, setup_, unit).newest_verified().checkpoint;
    return found ? found->step : 0;
  }

  TemporaryFolder folder_;
  RunSetup setup_ = testing::toy_setup();
  RunFolder run_{folder_.path()};
  std::unique_ptr<tasks::Task> task_ = tasks::make_task(setup_.task);
  UnitCommits commits_{setup_, run_, 3};
};

TEST_F(UnitCommitsTest, AStagedCommitCountsOnceItIsFinishedAndCollected) {
  const auto finish = commits_.stage(1, 5, files(), manifest(1));
  EXPECT_EQ(commits_.staged(1), 5);
  EXPECT_EQ(commits_.steps(), (std::vector<int64_t>{0, 0, 0}));
  EXPECT_EQ(found_step(1), 0);
  std::thread(finish).join();
  EXPECT_EQ(found_step(1), 5);
  EXPECT_EQ(commits_.steps()[1], 0);
  EXPECT_TRUE(commits_.home(1).empty());
  commits_.collect();
  EXPECT_EQ(commits_.steps(), (std::vector<int64_t>{0, 5, 0}));
  EXPECT_TRUE(std::filesystem::exists(commits_.home(1) / "manifest.json"));
}

TEST_F(UnitCommitsTest, AWaitingCommitIsDurableWhenItReturns) {
  commits_.commit(2, 4, files(), manifest(2));
  EXPECT_EQ(found_step(2), 4);
  EXPECT_EQ(commits_.staged(2), 0);
  commits_.collect();
  EXPECT_EQ(commits_.steps()[2], 4);
}

TEST_F(UnitCommitsTest, AUnitThatGoesBackHasNothingStaged) {
  commits_.stage(0, 5, files(), manifest(0))();
  commits_.collect();
  // Never finished, as if the process ended before the disk had it.
  commits_.stage(0, 9, files(), manifest(0));
  EXPECT_EQ(commits_.staged(0), 9);
  commits_.go_back(0);
  EXPECT_EQ(commits_.staged(0), 5);
  EXPECT_EQ(found_step(0), 5);
  UnitCommits next(setup_, run_, 3);
  next.remove_leftovers(0);
  next.begin(find_checkpoints(run_, setup_, 3));
  EXPECT_EQ(next.steps()[0], 5);
}

TEST(TimeAccountTest, SharesAreOfStepsStatesAndCheckpointsTogether) {
  EXPECT_EQ(TimeAccount{}.share(1), 0);
  EXPECT_EQ(TimeAccount{}.images_per_second(), 0);
  const TimeAccount time{.step_seconds = 6,
                         .data_wait_seconds = 3,
                         .paging_wait_seconds = 3,
                         .commit_seconds = 1,
                         .num_steps = 4,
                         .num_images = 40};
  EXPECT_DOUBLE_EQ(time.seconds(), 10);
  EXPECT_DOUBLE_EQ(time.share(time.data_wait_seconds), 0.3);
  EXPECT_DOUBLE_EQ(time.images_per_second(), 4);
  EXPECT_DOUBLE_EQ(time.mean_step_seconds(), 1.5);
}

}  // namespace
}  // namespace dblocks::train
