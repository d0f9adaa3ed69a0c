// SPDX-License-Identifier: Apache-2.0
// Same recipe, seed and data: same bits, however the run came about.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/core/random.h"
#include "dblocks/train/run_reader.h"
#include "tests/train/toy_run.h"

namespace dblocks::train {
namespace {

using testing::contents;
using testing::generation_setup;
using testing::shared_setup;
using testing::TemporaryFolder;
using testing::toy_setup;
using testing::train_toy;
using testing::with_schedule;

TEST(SamenessTest, EveryScheduleTrainsTheSameBlocks) {
  TemporaryFolder folder;
  const auto run = [&](TrainingSchedule schedule, const char* name) {
    train_toy(with_schedule(schedule), folder.path() / name);
    return contents(toy_setup(), folder.path() / name);
  };
  const auto sequential = run(TrainingSchedule::kSequential, "sequential");
  // Per block: weights, moments, average, state, manifest, log.
  EXPECT_EQ(sequential.size(), 18u);
  EXPECT_EQ(run(TrainingSchedule::kAlternating, "alternating"), sequential);
  EXPECT_EQ(run(TrainingSchedule::kRandom, "random"), sequential);
}

TEST(SamenessTest, BlocksTrainedApartAndMergedEqualOneRun) {
  TemporaryFolder folder;
  const RunSetup setup = toy_setup();
  train_toy(setup, folder.path() / "whole");
  std::vector<RunFolder> parts;
  for (int64_t block = 2; block >= 0; --block) {
    parts.emplace_back(folder.path() / std::to_string(block));
    train_toy(setup, parts.back().root(), block);
  }
  merge_runs(setup, parts, RunFolder(folder.path() / "merged"));
  EXPECT_EQ(contents(setup, folder.path() / "merged"),
            contents(setup, folder.path() / "whole"));
}

TEST(SamenessTest, LoaderWorkersAndPrefetchChangeNoBit) {
  TemporaryFolder folder;
  RunSetup setup = toy_setup();
  train_toy(setup, folder.path() / "reference");
  const auto reference = contents(setup, folder.path() / "reference");
  for (const auto& [workers, prefetch] :
       {std::pair(0, 1), std::pair(2, 1), std::pair(8, 3)}) {
    setup.loader.workers = workers;
    setup.loader.prefetch = prefetch;
    const auto run = folder.path() / std::to_string(workers);
    train_toy(setup, run);
    EXPECT_EQ(contents(setup, run), reference) << workers << " workers";
  }
}

class ResumeTest : public ::testing::TestWithParam<TrainingSchedule> {};

TEST_P(ResumeTest, AnInterruptedRunEndsLikeAnUninterruptedOne) {
  TemporaryFolder folder;
  const RunSetup setup = with_schedule(GetParam());
  train_toy(setup, folder.path() / "whole");
  RandomStream stops(1, RandomPurpose::kSampling, 0, 0);
  bool is_done = false;
  int64_t num_stops = 0;
  while (!is_done) {
    const auto after = static_cast<int64_t>(1 + stops.next_below(9));
    is_done =
        !train_toy(setup, folder.path() / "parts", {}, after).is_interrupted;
    ++num_stops;
  }
  EXPECT_GE(num_stops, 4);
  EXPECT_EQ(contents(setup, folder.path() / "parts"),
            contents(setup, folder.path() / "whole"));
}

INSTANTIATE_TEST_SUITE_P(Schedules,
                         ResumeTest,
                         ::testing::Values(TrainingSchedule::kSequential,
                                           TrainingSchedule::kAlternating,
                                           TrainingSchedule::kRandom));

TEST(GenerationSamenessTest, SchedulesInterruptionsAndMergesChangeNoBit) {
  TemporaryFolder folder;
  const RunSetup setup = generation_setup();
  train_toy(setup, folder.path() / "whole");
  const auto whole = contents(setup, folder.path() / "whole");
  EXPECT_EQ(whole.size(), 18u);
  for (const auto schedule :
       {TrainingSchedule::kAlternating, TrainingSchedule::kRandom}) {
    RunSetup other = setup;
    other.train.schedule = schedule;
    const auto run = folder.path() / std::string(enum_name(schedule));
    for (const int64_t stop : {3, 8, 17, -1}) {
      train_toy(other, run, {}, stop);
    }
    EXPECT_EQ(contents(setup, run), whole) << enum_name(schedule);
  }
  std::vector<RunFolder> parts;
  for (int64_t block = 2; block >= 0; --block) {
    parts.emplace_back(folder.path() / std::to_string(block));
    train_toy(setup, parts.back().root(), block);
  }
  merge_runs(setup, parts, RunFolder(folder.path() / "merged"));
  EXPECT_EQ(contents(setup, folder.path() / "merged"), whole);
}

TEST(GenerationSamenessTest, TheLossFallsAndNoAccuracyIsLogged) {
  TemporaryFolder folder;
  RunSetup setup = generation_setup();
  setup.train.steps = 60;
  setup.train.log_every_steps = 20;
  train_toy(setup, folder.path(), 0);
  std::ifstream log(RunFolder(folder.path()).log(0));
  std::vector<double> losses;
  for (std::string text; std::getline(log, text);) {
    const auto line = nlohmann::json::parse(text);
    EXPECT_FALSE(line.contains("accuracy"));
    losses.push_back(line.at("loss").get<double>());
  }
  ASSERT_EQ(losses.size(), 3u);
  EXPECT_LT(losses.back(), 0.8 * losses.front());
}

TEST(SamenessTest, SharedPartsResumeExactlyToo) {
  TemporaryFolder folder;
  const RunSetup setup = shared_setup();
  train_toy(setup, folder.path() / "whole");
  for (const int64_t stop : {3, 8, 17, -1}) {
    train_toy(setup, folder.path() / "parts", {}, stop);
  }
  EXPECT_EQ(contents(setup, folder.path() / "parts"),
            contents(setup, folder.path() / "whole"));
}

TEST(SamenessTest, EightBitMomentsResumeExactlyToo) {
  for (RunSetup setup : {toy_setup(), shared_setup()}) {
    TemporaryFolder folder;
    setup.optim.moments = MomentFormat::kInt8;
    train_toy(setup, folder.path() / "whole");
    for (const int64_t stop : {3, 8, 17, -1}) {
      train_toy(setup, folder.path() / "parts", {}, stop);
    }
    const auto whole = contents(setup, folder.path() / "whole");
    EXPECT_EQ(contents(setup, folder.path() / "parts"), whole);
    const std::string& moments = whole.at("0/optimizer.safetensors");
    EXPECT_NE(moments.find("\"U8\""), std::string::npos);
    EXPECT_NE(moments.find("\"second_moment_scales."), std::string::npos);
  }
}

TEST(SamenessTest, WeightsInBf16ResumeExactlyToo) {
  for (RunSetup setup : {toy_setup(), shared_setup()}) {
    TemporaryFolder folder;
    setup.optim.weights = WeightFormat::kBf16;
    setup.optim.ema_decay = 0.9;
    setup.optim.ema_second_decay = 0.5;
    train_toy(setup, folder.path() / "whole");
    for (const int64_t stop : {3, 8, 17, -1}) {
      train_toy(setup, folder.path() / "parts", {}, stop);
    }
    const auto whole = contents(setup, folder.path() / "whole");
    EXPECT_EQ(contents(setup, folder.path() / "parts"), whole);
    EXPECT_NE(whole.at("0/weights.safetensors").find("\"BF16\""),
              std::string::npos);
    EXPECT_NE(whole.at("0/ema.safetensors"),
              whole.at("0/ema_second.safetensors"));
  }
}

TEST(SamenessTest, MomentsOfAnotherFormatAreRefused) {
  TemporaryFolder folder;
  RunSetup setup = toy_setup();
  train_toy(setup, folder.path(), {}, 3);
  setup.optim.moments = MomentFormat::kInt8;
  try {
    train_toy(setup, folder.path());
    FAIL() << "read";
  } catch (const CheckpointError& error) {
    EXPECT_NE(std::string(error.what()).find("expected U8"), std::string::npos)
        << error.what();
  }
}

TEST(SamenessTest, RecomputedLayersTrainTheSameBlocks) {
  TemporaryFolder folder;
  RunSetup setup = toy_setup();
  setup.task.blocks.num_blocks = 1;
  train_toy(setup, folder.path() / "kept");
  const auto kept = contents(setup, folder.path() / "kept");
  setup.task.recompute = true;
  train_toy(setup, folder.path() / "recomputed");
  EXPECT_EQ(contents(setup, folder.path() / "recomputed"), kept);
}

TEST(SamenessTest, ALostCommitOfSharedPartsFallsBackToTheOneBefore) {
  TemporaryFolder folder;
  const RunSetup setup = shared_setup();
  train_toy(setup, folder.path() / "whole");
  train_toy(setup, folder.path() / "parts", {}, 10);
  train_toy(setup, folder.path() / "parts", {}, 7);
  // As if the process had been killed before the shared parts were renamed.
  std::filesystem::remove_all(folder.path() /
                              "parts/shared/checkpoints/step_000000017");
  ASSERT_TRUE(std::filesystem::exists(
      folder.path() / "parts/shared/checkpoints/step_000000015"));
  train_toy(setup, folder.path() / "parts");
  EXPECT_EQ(contents(setup, folder.path() / "parts"),
            contents(setup, folder.path() / "whole"));
}

TEST(SamenessTest, ADamagedNewestCheckpointIsPassedOver) {
  TemporaryFolder folder;
  const RunSetup setup = toy_setup();
  train_toy(setup, folder.path() / "whole");
  const auto parts = folder.path() / "parts";
  train_toy(setup, parts, {}, 7);
  const auto weights =
      parts / "blocks/0/checkpoints/step_000000007/weights.safetensors";
  ASSERT_TRUE(std::filesystem::exists(weights));
  std::fstream file(weights, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-5, std::ios::end);
  file.put('x');
  file.close();
  train_toy(setup, parts);
  EXPECT_EQ(contents(setup, parts), contents(setup, folder.path() / "whole"));
}

TEST(TrainerTest, SharedPartsCannotTrainApart) {
  TemporaryFolder folder;
  EXPECT_THROW(train_toy(shared_setup(), folder.path() / "run", 1),
               ConfigError);
}

TEST(TrainerTest, ACheckpointOfAnotherRecipeIsRefused) {
  TemporaryFolder folder;
  RunSetup setup = toy_setup();
  train_toy(setup, folder.path(), {}, 2);
  setup.fingerprint = "ffeeddccbbaa99887766554433221100";
  EXPECT_THROW(train_toy(setup, folder.path()), CheckpointError);
}

TEST(TrainerTest, GreedyNeedsItsPredecessorsFinished) {
  TemporaryFolder folder;
  RunSetup setup = toy_setup();
  setup.task.method = tasks::Method::kGreedy;
  EXPECT_THROW(train_toy(setup, folder.path(), 1), CheckpointError);
  train_toy(setup, folder.path(), 0);
  EXPECT_EQ(train_toy(setup, folder.path(), 1).steps,
            (std::vector<int64_t>{12, 12, 0}));
}

TEST(TrainerTest, ANonFiniteLossStopsAndNamesBlockAndStep) {
  TemporaryFolder folder;
  RunSetup setup = toy_setup();
  setup.optim.learning_rate = 1e30;
  setup.optim.warmup_steps = 0;
  try {
    train_toy(setup, folder.path());
    FAIL() << "trained on";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("block 0, step"),
              std::string::npos)
        << error.what();
  }
}

TEST(MergeTest, RefusesGapsUnfinishedBlocksAndOtherVersions) {
  TemporaryFolder folder;
  const RunSetup setup = toy_setup();
  const RunFolder whole(folder.path() / "whole"), part(folder.path() / "part"),
      other(folder.path() / "other"), out(folder.path() / "out");
  train_toy(setup, part.root(), 1, 3);
  EXPECT_THROW(merge_runs(setup, {part}, out), CheckpointError);  // unfinished
  train_toy(setup, part.root(), 1);
  EXPECT_THROW(merge_runs(setup, {part}, out), CheckpointError);  // gap
  RunSetup other_seed = setup;
  other_seed.task.seed = 8;
  train_toy(other_seed, other.root(), 1);
  EXPECT_THROW(merge_runs(setup, {part, other}, out), CheckpointError);
  EXPECT_FALSE(std::filesystem::exists(out.root()));
}

TEST(MergeTest, RefusesOtherFrozenParts) {
  TemporaryFolder folder;
  const RunSetup setup = toy_setup();
  RunSetup other = setup;
  other.task.classification.target_table = tasks::TargetTable::kUnit;
  std::vector<RunFolder> parts;
  for (int64_t block = 0; block < 3; ++block) {
    parts.emplace_back(folder.path() / std::to_string(block));
    train_toy(block == 1 ? other : setup, parts.back().root(), block);
  }
  try {
    merge_runs(setup, parts, RunFolder(folder.path() / "out"));
    FAIL() << "merged";
  } catch (const CheckpointError& error) {
    EXPECT_NE(std::string(error.what()).find("frozen"), std::string::npos);
  }
}

}  // namespace
}  // namespace dblocks::train
