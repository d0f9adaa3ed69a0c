// SPDX-License-Identifier: Apache-2.0
// Where idle blocks lie, and how often they move, changes no bit.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <tuple>

#include "dblocks/core/error.h"
#include "tests/train/toy_run.h"

namespace dblocks::train {
namespace {

using testing::contents;
using testing::shared_setup;
using testing::TemporaryFolder;
using testing::toy_images;
using testing::toy_setup;
using testing::train_toy;
using testing::with_schedule;

/// Trains with `num_arenas`; `after_step` may stop the run.
TrainResult train_paged(
    const RunSetup& setup,
    const std::filesystem::path& folder,
    int64_t num_arenas,
    const std::function<bool(const report::Progress&)>& stops_after,
    int64_t num_device_slots = 0) {
  const data::Dataset images = toy_images();
  std::atomic<bool> stop{false};
  Trainer trainer(setup, images, RunFolder(folder),
                  {.stop = &stop,
                   .on_progress =
                       [&](const report::Progress& progress) {
                         stop = stops_after(progress);
                       },
                   .num_arenas = num_arenas,
                   .num_device_slots = num_device_slots,
                   .has_device_tier = num_device_slots > 0});
  return trainer.run();
}

bool never(const report::Progress&) {
  return false;
}

class PagingTest
    : public ::testing::TestWithParam<std::tuple<TrainingSchedule, int64_t>> {};

TEST_P(PagingTest, TrainsTheSameBlocks) {
  const auto& [schedule, num_arenas] = GetParam();
  TemporaryFolder folder;
  train_toy(with_schedule(TrainingSchedule::kSequential),
            folder.path() / "sequential");
  const TrainResult result = train_paged(
      with_schedule(schedule), folder.path() / "paged", num_arenas, never);
  EXPECT_EQ(contents(toy_setup(), folder.path() / "paged"),
            contents(toy_setup(), folder.path() / "sequential"));
  EXPECT_EQ(result.paging.num_in > 0, num_arenas < 3);
  for (int64_t block = 0; block < 3; ++block) {
    EXPECT_FALSE(
        std::filesystem::exists(RunFolder(folder.path() / "paged").page(block)))
        << "a page is left behind";
  }
}

TEST_P(PagingTest, AnInterruptedRunEndsLikeAnUninterruptedOne) {
  const auto& [schedule, num_arenas] = GetParam();
  TemporaryFolder folder;
  const RunSetup setup = with_schedule(schedule);
  train_toy(setup, folder.path() / "whole");
  bool is_done = false;
  for (int64_t after = 1; !is_done; after += 2) {
    int64_t taken = 0;
    is_done =
        !train_paged(setup, folder.path() / "parts", num_arenas,
                     [&](const report::Progress&) { return ++taken == after; })
             .is_interrupted;
  }
  EXPECT_EQ(contents(setup, folder.path() / "parts"),
            contents(setup, folder.path() / "whole"));
}

// A device's own memory above host memory and disk, with the CPU in its place.
TEST_P(PagingTest, MemoryOfADeviceChangesNothing) {
  const auto& [schedule, num_arenas] = GetParam();
  TemporaryFolder folder;
  const RunSetup setup = with_schedule(schedule);
  train_toy(setup, folder.path() / "whole");
  for (const int64_t num_slots : {1, 2, 3}) {
    const auto tiered = folder.path() / std::to_string(num_slots);
    int64_t taken = 0;
    EXPECT_TRUE(train_paged(
                    setup, tiered, num_arenas,
                    [&](const report::Progress&) { return ++taken == 11; },
                    num_slots)
                    .is_interrupted);
    train_paged(setup, tiered, num_arenas, never, num_slots);
    EXPECT_EQ(contents(setup, tiered), contents(setup, folder.path() / "whole"))
        << num_slots << " slots";
  }
}

INSTANTIATE_TEST_SUITE_P(
    SchedulesAndArenas,
    PagingTest,
    ::testing::Combine(::testing::Values(TrainingSchedule::kAlternating,
                                         TrainingSchedule::kRandom),
                       ::testing::Values(1, 2, 3)));

TEST(PagingTest, AllThatAStateHoldsTravelsWithIt) {
  RunSetup with_int8 = toy_setup();
  with_int8.optim.moments = MomentFormat::kInt8;
  RunSetup with_bf16 = toy_setup();
  with_bf16.optim.weights = WeightFormat::kBf16;
  for (RunSetup setup : {with_int8, with_bf16, testing::generation_setup()}) {
    TemporaryFolder folder;
    train_toy(setup, folder.path() / "sequential");
    setup.train.schedule = TrainingSchedule::kAlternating;
    for (const int64_t num_arenas : {1, 2}) {
      const auto paged = folder.path() / std::to_string(num_arenas);
      train_paged(setup, paged, num_arenas, never);
      EXPECT_EQ(contents(setup, paged),
                contents(setup, folder.path() / "sequential"));
    }
  }
}

TEST(PagingTest, VisitsOfAutomaticLengthTrainTheSameBlocks) {
  TemporaryFolder folder;
  train_toy(toy_setup(), folder.path() / "sequential");
  RunSetup setup = with_schedule(TrainingSchedule::kAlternating);
  setup.train.steps_per_visit = 0;
  train_paged(setup, folder.path() / "auto", 1, never);
  EXPECT_EQ(contents(setup, folder.path() / "auto"),
            contents(setup, folder.path() / "sequential"));
}

void flip_byte(const std::filesystem::path& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(1000);
  const auto byte = static_cast<char>(file.get() ^ 1);
  file.seekp(1000);
  file.put(byte);
  ASSERT_TRUE(file.good()) << path;
}

TEST(PagingTest, ADamagedPageCostsTheStepsSinceTheCheckpointAndNoBit) {
  TemporaryFolder folder;
  const RunSetup setup = with_schedule(TrainingSchedule::kAlternating);
  train_toy(setup, folder.path() / "whole");
  int64_t taken = 0;
  train_paged(setup, folder.path() / "damaged", 1,
              [&](const report::Progress& progress) {
                // Block 1 lies in its page at step 8, its checkpoint is of 5.
                if (++taken == 26) {
                  EXPECT_EQ(progress.block, 0);
                  flip_byte(RunFolder(folder.path() / "damaged").page(1));
                }
                return false;
              });
  EXPECT_EQ(taken, 36 + 3);
  EXPECT_EQ(contents(setup, folder.path() / "damaged"),
            contents(setup, folder.path() / "whole"));
}

TEST(PagingTest, ADamagedPageOfARunWithSharedPartsStopsIt) {
  TemporaryFolder folder;
  RunSetup setup = shared_setup();
  setup.train.schedule = TrainingSchedule::kAlternating;
  train_toy(setup, folder.path() / "whole");
  int64_t taken = 0;
  const auto damage = [&](const report::Progress&) {
    if (++taken == 20) {
      flip_byte(RunFolder(folder.path() / "damaged").page(1));
    }
    return false;
  };
  EXPECT_THROW(train_paged(setup, folder.path() / "damaged", 1, damage),
               CheckpointError);
  train_toy(setup, folder.path() / "damaged");
  EXPECT_EQ(contents(setup, folder.path() / "damaged"),
            contents(setup, folder.path() / "whole"));
}

}  // namespace
}  // namespace dblocks::train
