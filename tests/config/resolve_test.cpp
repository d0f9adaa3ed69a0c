// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "dblocks/config/dump.h"
#include "dblocks/config/field_list.h"
#include "tests/config/testing.h"

namespace dblocks::config {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

LoadedConfig resolved(std::string_view text,
                      int64_t train_size,
                      std::vector<std::string> sets = {}) {
  LoadedConfig loaded = parse_recipe(text, "r.toml", sets);
  resolve(loaded, train_size);
  return loaded;
}

std::string origin(const LoadedConfig& loaded, std::string_view key) {
  return describe(loaded.origins.find(key)->second);
}

TEST(ResolveTest, EpochsBecomeStepsOfWholeBatches) {
  const LoadedConfig loaded =
      resolved("train.epochs = 500\noptim.warmup_steps = 3900", 50000);
  EXPECT_EQ(loaded.config.train.steps, 195000);
  EXPECT_EQ(loaded.config.train.epochs, 0);
  EXPECT_EQ(origin(loaded, "train.steps"), "resolved: 500 epochs of 390 steps");
  EXPECT_EQ(origin(loaded, "train.epochs"),
            "resolved: turned into train.steps");
}

TEST(ResolveTest, StepsStayAsGiven) {
  const LoadedConfig loaded = resolved("train.steps = 300", 50000);
  EXPECT_EQ(loaded.config.train.steps, 300);
  EXPECT_EQ(origin(loaded, "train.steps"), "r.toml:1");
}

TEST(ResolveTest, WarmUpIsCheckedAgainstTheStepsOfTheEpochs) {
  EXPECT_THAT(config_error([] {
                resolved("train.epochs = 1\noptim.warmup_steps = 390", 50000);
              }),
              HasSubstr("optim.warmup_steps below the 390 steps"));
}

TEST(ResolveTest, AnEpochWithoutAWholeBatchIsAnError) {
  EXPECT_THAT(config_error([] { resolved("train.epochs = 1", 127); }),
              AllOf(HasSubstr("data.batch_size"), HasSubstr("127")));
}

TEST(ResolveTest, DefaultsThatDependOnOtherKeysAreFilledIn) {
  const LoadedConfig loaded =
      resolved("train.steps = 300\nblocks.num_blocks = 2", 50000);
  EXPECT_EQ(loaded.config.model.sigma_embedding_width, 21);
  EXPECT_EQ(loaded.config.readout.chain_steps, 2);
  EXPECT_EQ(origin(loaded, "readout.chain_steps"),
            "resolved: blocks.num_blocks");
}

TEST(ResolveTest, WhatIsGivenIsNotReplaced) {
  const LoadedConfig loaded = resolved(
      "train.steps = 300\nreadout.chain_steps = 5\n"
      "model.sigma_embedding_width = 64",
      50000);
  EXPECT_EQ(loaded.config.readout.chain_steps, 5);
  EXPECT_EQ(loaded.config.model.sigma_embedding_width, 64);
}

TEST(ResolveTest, APresetBecomesItsNumbers) {
  const LoadedConfig loaded =
      resolved("train.steps = 300\nnoise.preset = \"wide\"", 50000);
  EXPECT_EQ(loaded.config.noise.mean, 0.4);
  EXPECT_EQ(loaded.config.noise.spread, 1.0);
  EXPECT_EQ(origin(loaded, "noise.mean"), "resolved: noise.preset = wide");
}

TEST(ResolveTest, ANumberBesideAPresetThatMeansAnotherIsAnError) {
  EXPECT_THAT(config_error([] {
                resolved("train.steps = 300\nnoise.preset = \"wide\"", 50000,
                         {"noise.mean=-1.2"});
              }),
              AllOf(HasSubstr("noise.mean = 0.4"), HasSubstr("found -1.2"),
                    HasSubstr("--set"), HasSubstr("custom")));
  const LoadedConfig custom =
      resolved("train.steps = 300\nnoise.preset = \"custom\"", 50000,
               {"noise.mean=0.3"});
  EXPECT_EQ(custom.config.noise.mean, 0.3);
}

TEST(ResolveTest, ResolvingTwiceChangesNothing) {
  LoadedConfig loaded =
      resolved("train.epochs = 2\nnoise.preset = \"wide\"", 50000);
  const std::string once = dump_toml(loaded);
  resolve(loaded, 50000);
  EXPECT_EQ(dump_toml(loaded), once);
}

TEST(DumpTest, HoldsEveryKeyWithItsOrigin) {
  const std::string text = dump_toml(
      resolved("train.epochs = 2\noptim.eps = 1e-3", 50000, {"seed=7"}));
  EXPECT_THAT(text, HasSubstr("seed = 7"));
  EXPECT_THAT(text, testing::ContainsRegex("seed = 7 +# --set\n"));
  EXPECT_THAT(text, testing::ContainsRegex("\neps = 0\\.001 +# r\\.toml:2\n"));
  EXPECT_THAT(text,
              testing::ContainsRegex("\nsteps = 780 +# resolved: 2 epochs of"));
  EXPECT_THAT(text, testing::ContainsRegex("\nwidth = 128 +# default\n"));
  const FieldList list = list_fields(RunConfig{});
  EXPECT_EQ(std::count(text.begin(), text.end(), '#'),
            static_cast<int64_t>(list.fields.size()) + 1);
}

TEST(DumpTest, ReadAgainItIsTheSameConfigToTheBit) {
  LoadedConfig loaded = resolved(
      "train.steps = 300\nblocks.layers_per_block = [1, 4, 1]\n"
      "optim.learning_rate = 0.1\ndata.mean = [0.3]\ndata.std = [1e-20]\n"
      "method = \"ensemble\"\nclassification.bridge = \"hard\"",
      50000);
  loaded.config.name = "tab\t, quote \", slash \\, \x7F, \xC3\xA9, line\n2";
  loaded.config.optim.eps = 0.1 + 0.2;
  loaded.config.seed = std::numeric_limits<int64_t>::max();
  const LoadedConfig again = parse_recipe(dump_toml(loaded), "resolved.toml");
  const FieldList before = list_fields(loaded.config);
  const FieldList after = list_fields(again.config);
  for (size_t i = 0; i < before.fields.size(); ++i) {
    EXPECT_EQ(before.fields[i].value, after.fields[i].value)
        << before.fields[i].key;
  }
}

TEST(DumpTest, TheDumpResolvesToItself) {
  for (const std::string method : {"diffusion_blocks", "end_to_end"}) {
    const LoadedConfig loaded =
        resolved("train.epochs = 3\nnoise.preset = \"wide\"", 50000,
                 {"method=" + method});
    const LoadedConfig again = resolved(dump_toml(loaded), 50000);
    EXPECT_TRUE(std::ranges::equal(list_fields(loaded.config).fields,
                                   list_fields(again.config).fields, {},
                                   &Field::value, &Field::value));
  }
}

TEST(DumpTest, OriginsAreReadBackFromTheComments) {
  LoadedConfig loaded =
      resolved("train.epochs = 2\nname = \"a # b\\\" # c\"", 50000, {"seed=7"});
  const auto origins = dumped_origins(dump_toml(loaded));
  EXPECT_EQ(origins.size(), loaded.origins.size());
  for (const auto& [key, origin] : loaded.origins) {
    ASSERT_TRUE(origins.contains(key)) << key;
    EXPECT_EQ(origins.find(key)->second, describe(origin)) << key;
  }
  EXPECT_TRUE(dumped_origins("[\n#\n = \nkey = \"no comment\n\\").empty());
}

TEST(DumpTest, AHostilePathInAnOriginDoesNotBreakTheFile) {
  LoadedConfig loaded = parse_recipe("seed = 3", "a\nseed = 4 \xFF");
  const LoadedConfig again = parse_recipe(dump_toml(loaded), "resolved.toml");
  EXPECT_EQ(again.config.seed, 3);
}

TEST(ResolveTest, ANamedSizeOfDitStandsForItsNumbers) {
  const std::string text =
      "task = \"image_generation\"\ntrain.steps = 300\ndit.size = \"L\"";
  const LoadedConfig loaded = resolved(text, 50000);
  EXPECT_EQ(loaded.config.dit.num_layers, 24);
  EXPECT_EQ(loaded.config.dit.width, 1024);
  EXPECT_EQ(loaded.config.dit.heads, 16);
  EXPECT_EQ(origin(loaded, "dit.width"), "resolved: dit.size = L");
  EXPECT_THAT(config_error([&] { resolved(text + "\ndit.width = 96", 50000); }),
              HasSubstr("dit.width = 1024"));
}

}  // namespace
}  // namespace dblocks::config
