// SPDX-License-Identifier: Apache-2.0
#include "dblocks/checkpoint/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <functional>
#include <future>

#include "dblocks/core/error.h"
#include "tests/checkpoint/sample.h"
#include "tests/checkpoint/temporary_folder.h"

namespace dblocks::checkpoint {
namespace {

using ::testing::AllOf;
using testing::commit_sample;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::holds_sample;
using testing::message_of;
using testing::sample_manifest;
using testing::SampleCheckpoint;
using testing::TemporaryFolder;
using testing::write_bytes;

class StoreTest : public ::testing::Test {
 protected:
  std::filesystem::path folder() { return root_.path() / "checkpoints"; }
  void damage(int64_t step) {
    write_bytes(store_.step_folder(step) / kWeightsName, "damaged");
  }

  TemporaryFolder root_;
  CheckpointStore store_{real_file_system(), root_.path() / "checkpoints"};
};

TEST_F(StoreTest, AMissingFolderHoldsNothing) {
  EXPECT_FALSE(store_.newest_verified().checkpoint);
  EXPECT_TRUE(store_.steps().empty());
  EXPECT_FALSE(store_.find(1));
  store_.remove_leftovers();
}

TEST_F(StoreTest, ACommitIsFoundAgainWithItsFilesAndManifest) {
  const Checkpoint committed = commit_sample(store_, 12'000);
  EXPECT_EQ(committed.folder, folder() / "step_000012000");
  EXPECT_THAT(real_file_system().list(committed.folder),
              ElementsAre("manifest.json", "optimizer.safetensors",
                          "state.json", "weights.safetensors"));
  CheckpointStore again(real_file_system(), folder());
  const auto newest = again.newest_verified();
  ASSERT_TRUE(newest.checkpoint);
  EXPECT_EQ(newest.checkpoint->manifest, committed.manifest);
  EXPECT_EQ(newest.checkpoint->manifest.step, 12'000);
  EXPECT_EQ(newest.checkpoint->manifest.block, 1);
  EXPECT_TRUE(holds_sample(*newest.checkpoint));
  EXPECT_TRUE(newest.rejected.empty());
}

TEST_F(StoreTest, ADamagedCheckpointIsPassedOverAndTheReasonTold) {
  commit_sample(store_, 1);
  commit_sample(store_, 2);
  damage(2);
  const auto newest = store_.newest_verified();
  ASSERT_TRUE(newest.checkpoint);
  EXPECT_EQ(newest.checkpoint->step, 1);
  ASSERT_EQ(newest.rejected.size(), 1u);
  EXPECT_EQ(newest.rejected[0].folder, store_.step_folder(2));
  EXPECT_THAT(newest.rejected[0].reason, HasSubstr("weights.safetensors"));
  EXPECT_THROW(store_.find(2), CheckpointError);
}

TEST_F(StoreTest, AFolderUnderAnotherStepsNameIsRejected) {
  commit_sample(store_, 1);
  std::filesystem::rename(store_.step_folder(1), store_.step_folder(2));
  const auto newest = store_.newest_verified();
  EXPECT_FALSE(newest.checkpoint);
  EXPECT_THAT(newest.rejected.at(0).reason, HasSubstr("found step 1"));
}

TEST_F(StoreTest, KeepsTheNewestTwoAndThePinned) {
  store_.pin(2);
  for (const int64_t step : {1, 2, 3, 4, 5}) {
    commit_sample(store_, step);
  }
  EXPECT_THAT(store_.steps(), ElementsAre(2, 4, 5));
  CheckpointStore three(real_file_system(), folder(), 3);
  commit_sample(three, 6);
  EXPECT_THAT(three.steps(), ElementsAre(4, 5, 6));
}

TEST_F(StoreTest, DamagedCheckpointsDoNotCountAsKept) {
  commit_sample(store_, 1);
  commit_sample(store_, 2);
  damage(2);
  CheckpointStore again(real_file_system(), folder());
  commit_sample(again, 3);
  EXPECT_THAT(again.steps(), ElementsAre(1, 2, 3));
  commit_sample(again, 4);
  EXPECT_THAT(again.steps(), ElementsAre(3, 4));
}

TEST_F(StoreTest, ACommitBelowADamagedStepIsNotPruned) {
  commit_sample(store_, 10);
  commit_sample(store_, 20);
  damage(20);
  CheckpointStore again(real_file_system(), folder());
  commit_sample(again, 15);
  EXPECT_EQ(again.newest_verified().checkpoint->step, 15);
  EXPECT_THAT(again.steps(), ElementsAre(10, 15, 20));
}

TEST_F(StoreTest, KeepingFewerThanTwoIsAConfigError) {
  EXPECT_THAT(message_of<ConfigError>(
                  [&] { CheckpointStore(real_file_system(), folder(), 1); }),
              AllOf(HasSubstr("at least 2"), HasSubstr("checkpoint.keep")));
}

TEST_F(StoreTest, CommittingAGoodStepAgainWritesNothing) {
  commit_sample(store_, 5);
  const auto before =
      std::filesystem::last_write_time(store_.step_folder(5) / kWeightsName);
  const Checkpoint again = commit_sample(store_, 5);
  EXPECT_EQ(again.manifest.files.size(), 3u);
  EXPECT_EQ(
      std::filesystem::last_write_time(store_.step_folder(5) / kWeightsName),
      before);
}

TEST_F(StoreTest, AStagedCheckpointIsThereOnceItIsFinished) {
  commit_sample(store_, 1);
  std::function<Checkpoint()> finish;
  {
    const SampleCheckpoint sample(2);
    finish = store_.stage(2, sample.files(), sample_manifest());
  }  // its tensors are gone
  CheckpointStore reader(real_file_system(), folder());
  EXPECT_EQ(reader.newest_verified().checkpoint->step, 1);
  const Checkpoint finished = std::async(std::launch::async, finish).get();
  EXPECT_EQ(finished.step, 2);
  const auto newest = reader.newest_verified();
  ASSERT_TRUE(newest.checkpoint);
  EXPECT_EQ(newest.checkpoint->manifest, finished.manifest);
  EXPECT_TRUE(holds_sample(*newest.checkpoint));
}

TEST_F(StoreTest, CommittingADamagedStepAgainReplacesIt) {
  commit_sample(store_, 4);
  commit_sample(store_, 5);
  damage(5);
  commit_sample(store_, 5);
  EXPECT_TRUE(holds_sample(store_.find(5).value()));
  EXPECT_THAT(real_file_system().list(folder()),
              ElementsAre("step_000000004", "step_000000005"));
}

TEST_F(StoreTest, AStepOfAnotherRecipeIsNotOverwritten) {
  commit_sample(store_, 5);
  Manifest other = sample_manifest();
  other.recipe_fingerprint = "other";
  EXPECT_THAT(message_of<CheckpointError>([&] {
                store_.commit(5, SampleCheckpoint(5).files(), other);
              }),
              AllOf(HasSubstr("another recipe"), HasSubstr("step_000000005")));
  EXPECT_EQ(store_.find(5)->manifest.recipe_fingerprint, "00ff");
}

TEST_F(StoreTest, LeftoversAreRemovedAndOtherFilesAreNot) {
  commit_sample(store_, 1);
  std::filesystem::create_directory(folder() / "tmp_step_000000002");
  write_bytes(folder() / "tmp_step_000000002" / kWeightsName, "half");
  write_bytes(folder() / "notes.txt", "mine");
  std::filesystem::create_directory(folder() / "step_2");
  EXPECT_EQ(store_.newest_verified().checkpoint->step, 1);
  store_.remove_leftovers();
  EXPECT_THAT(real_file_system().list(folder()),
              ElementsAre("notes.txt", "step_000000001", "step_2"));
}

// Lets files of this process grow to `bytes` only.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(StoreTest, TheFileSizeLimitIsAnErrorAndTheCheckpointBeforeIsIntact) {
  commit_sample(store_, 1);
  const SampleCheckpoint large(2, 100'000);
  std::string message;
  {
    const FileSizeLimit limit(65'536);
    message = message_of<DeviceError>(
        [&] { store_.commit(2, large.files(), sample_manifest()); });
  }
  EXPECT_THAT(message, AllOf(HasSubstr("[file_system]"), HasSubstr("no space"),
                             HasSubstr("weights.safetensors")));
  EXPECT_THAT(real_file_system().list(folder()), ElementsAre("step_000000001"));
  EXPECT_TRUE(holds_sample(store_.find(1).value()));
  store_.commit(2, large.files(), sample_manifest());
  EXPECT_EQ(store_.newest_verified().checkpoint->step, 2);
}

TEST_F(StoreTest, AFolderThatCannotBeCreatedIsNamed) {
  write_bytes(root_ / "file", "");
  CheckpointStore store(real_file_system(), root_.path() / "file" / "below");
  EXPECT_THAT(message_of<CheckpointError>([&] { commit_sample(store, 1); }),
              HasSubstr((root_.path() / "file").string()));
}

}  // namespace
}  // namespace dblocks::checkpoint
