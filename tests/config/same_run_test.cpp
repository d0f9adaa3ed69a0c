// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dblocks/config/fingerprint.h"
#include "dblocks/config/recipe.h"
#include "dblocks/config/resolve.h"

namespace dblocks::config {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

RunConfig run(std::vector<std::string> sets) {
  LoadedConfig loaded = parse_recipe("train.steps = 300", "r.toml", sets);
  resolve(loaded, 60000);
  return loaded.config;
}

TEST(FingerprintTest, IsThirtyTwoHexadecimalDigits) {
  EXPECT_THAT(fingerprint(run({})), testing::MatchesRegex("[0-9a-f]{32}"));
}

TEST(FingerprintTest, WhatCannotChangeTheWeightsDoesNotCount) {
  const std::string base = fingerprint(run({}));
  for (const std::string set :
       {"name=other", "data.root=/elsewhere", "data.workers=7",
        "data.prefetch=9", "data.test_samples=100", "checkpoint.keep=5",
        "checkpoint.every_steps=10", "readout.draws=8", "readout.chain_steps=9",
        "train.log_every_steps=1", "report.histograms_every_steps=5",
        "train.schedule=random", "train.steps_per_visit=3",
        "classification.bridge=hard"}) {
    EXPECT_EQ(fingerprint(run({set})), base) << set;
    EXPECT_THAT(differences(run({}), run({set})), IsEmpty()) << set;
  }
}

TEST(FingerprintTest, WhatChangesTheWeightsCounts) {
  const std::string base = fingerprint(run({}));
  for (const std::string set :
       {"seed=1", "method=greedy", "data.batch_size=64",
        "data.train_samples=1000", "data.augment.flip=true", "model.width=64",
        "noise.preset=wide", "partition.overlap=0.1", "blocks.num_blocks=2",
        "blocks.layers_per_block=[1,4,1]", "blocks.ownership.stem=frozen",
        "classification.anchor=0.25", "optim.eps=1e-7", "optim.ema_decay=0.9",
        "train.steps=301", "train.precision=bf16"}) {
    EXPECT_NE(fingerprint(run({set})), base) << set;
  }
  const std::string averaged = fingerprint(run({"optim.ema_decay=0.9"}));
  EXPECT_NE(
      fingerprint(run({"optim.ema_decay=0.9", "optim.ema_second_decay=0.99"})),
      averaged);
  EXPECT_EQ(
      fingerprint(run({"optim.ema_decay=0.9", "optim.ema_evaluate=first"})),
      averaged);
}

// Written by the program before it knew more tasks than classification.
TEST(FingerprintTest, RunsOfEarlierProgramsKeepTheirs) {
  const auto fingerprint_of = [](const std::string& ownership) {
    LoadedConfig loaded =
        parse_recipe("train.steps = 1\noptim.warmup_steps = 0", "r.toml",
                     std::vector<std::string>{ownership});
    resolve(loaded, 60000);
    return fingerprint(loaded.config);
  };
  EXPECT_EQ(fingerprint_of("blocks.ownership.stem=frozen"),
            "4ed3627f8eaa9467d530ecfdb5038f1e");
}

TEST(FingerprintTest, WhatGenerationIsTrainedWithCounts) {
  const std::string task = "task=image_generation";
  const std::string base = fingerprint(run({task}));
  EXPECT_NE(base, fingerprint(run({})));
  for (const std::string set :
       {"dit.size=B", "dit.patch=4", "generation.label_dropout=0.2",
        "blocks.ownership.label_embedding=frozen"}) {
    EXPECT_NE(fingerprint(run({task, set})), base) << set;
  }
  for (const std::string set :
       {"sampling.steps=7", "sampling.guidance=1", "sampling.solver=heun"}) {
    EXPECT_EQ(fingerprint(run({task, set})), base) << set;
  }
}

TEST(FingerprintTest, TheOrderOfBlocksCountsOnceAPartIsShared) {
  const std::string shared = "blocks.ownership.head=shared";
  EXPECT_NE(fingerprint(run({shared, "train.schedule=random"})),
            fingerprint(run({shared, "train.schedule=alternating"})));
}

TEST(FingerprintTest, APresetAndItsNumbersAreTheSameRun) {
  EXPECT_EQ(fingerprint(run({"noise.preset=wide"})),
            fingerprint(run(
                {"noise.preset=custom", "noise.mean=0.4", "noise.spread=1"})));
}

TEST(DifferencesTest, NameTheKeysAndBothValues) {
  const auto found =
      differences(run({"seed=1", "name=a"}),
                  run({"seed=2", "name=b", "model.modulation=published"}));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].key, "seed");
  EXPECT_EQ(found[0].first, "1");
  EXPECT_EQ(found[0].second, "2");
  EXPECT_EQ(found[1].key, "model.modulation");
  EXPECT_EQ(found[1].second, "\"published\"");
}

}  // namespace
}  // namespace dblocks::config
