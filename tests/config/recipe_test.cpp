// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "dblocks/config/suggest.h"
#include "tests/config/testing.h"

namespace dblocks::config {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

LoadedConfig parse(std::string_view text, std::vector<std::string> sets = {}) {
  return parse_recipe(text, "r.toml", sets);
}

std::string parse_error(std::string_view text,
                        std::vector<std::string> sets = {}) {
  return config_error([&] { parse(text, sets); });
}

TEST(RecipeTest, AnEmptyRecipeIsEveryDefault) {
  const LoadedConfig loaded = parse("");
  EXPECT_EQ(loaded.config.model.width, 128);
  EXPECT_EQ(loaded.config.blocks.num_blocks, 3);
  EXPECT_EQ(loaded.config.blocks.ownership.target_table,
            blocks::Ownership::kFrozen);
  EXPECT_EQ(describe(loaded.origins.at("model.width")), "default");
}

TEST(RecipeTest, ReadsEveryTypeOfValue) {
  const RunConfig config = parse(R"(
name = "a \"b\""
method = "greedy"
[data]
mean = [0.5, 1]
[data.augment]
flip = true
[blocks]
layers_per_block = [3, 6, 3]
[optim]
learning_rate = 5e-4
warmup_steps = 7
)")
                               .config;
  EXPECT_EQ(config.name, "a \"b\"");
  EXPECT_EQ(config.method, tasks::Method::kGreedy);
  EXPECT_THAT(config.data.mean, ElementsAre(0.5, 1.0));
  EXPECT_TRUE(config.data.augment.flip);
  EXPECT_THAT(config.blocks.layers_per_block, ElementsAre(3, 6, 3));
  EXPECT_EQ(config.optim.learning_rate, 5e-4);
  EXPECT_EQ(config.optim.warmup_steps, 7);
}

TEST(RecipeTest, DottedKeysAndInlineTablesMeanTheSame) {
  EXPECT_EQ(parse("optim.eps = 0.5").config.optim.eps, 0.5);
  EXPECT_EQ(parse("optim = { eps = 0.5 }").config.optim.eps, 0.5);
}

TEST(RecipeTest, AnIntegerIsTakenForANumberButNotTheOtherWayRound) {
  EXPECT_EQ(parse("optim.clip_norm = 2").config.optim.clip_norm, 2.0);
  EXPECT_THAT(parse_error("[train]\nsteps = 2.0"),
              AllOf(HasSubstr("expected an integer for train.steps"),
                    HasSubstr("found a number 2.0"), HasSubstr("r.toml:2")));
}

TEST(RecipeTest, AnUnknownKeyNamesFileLineAndNearestKey) {
  EXPECT_THAT(parse_error("[optim]\n\nlearning_rat = 1"),
              AllOf(HasSubstr("\"optim.learning_rat\""), HasSubstr("r.toml:3"),
                    HasSubstr("nearest known key is optim.learning_rate")));
  EXPECT_THAT(parse_error("[otpim]\nlearning_rate = 1"),
              AllOf(HasSubstr("\"otpim\""), HasSubstr("r.toml:1"),
                    HasSubstr("nearest known key is optim;")));
  EXPECT_THAT(parse_error("num_blocks = 2"),
              HasSubstr("nearest known key is blocks.num_blocks"));
}

TEST(RecipeTest, ANewerFormatIsNamedBeforeItsUnknownKeys) {
  EXPECT_THAT(parse_error("novelty = 1\nformat = 2"),
              AllOf(HasSubstr("found format 2, this program reads format 1 "
                              "(r.toml:2)"),
                    HasSubstr("Hint: use the release of dblocks that wrote "
                              "it")));
}

TEST(RecipeTest, AKeyInQuotesIsNotADottedKey) {
  EXPECT_THAT(parse_error("\"optim.eps\" = 0.5"), HasSubstr("known key"));
}

TEST(RecipeTest, TheFirstMistakeByLineIsReported) {
  EXPECT_THAT(parse_error("zzz = 1\naaa = 1"), HasSubstr("\"zzz\""));
}

TEST(RecipeTest, AWrongTypeSaysWhatWasExpectedAndFound) {
  EXPECT_THAT(
      parse_error("[model]\nwidth = \"wide\""),
      HasSubstr("expected an integer for model.width, found a string \"wide\" "
                "(r.toml:2)"));
  EXPECT_THAT(parse_error("data.augment.flip = 1"),
              HasSubstr("expected true or false for data.augment.flip, found "
                        "an integer 1"));
  EXPECT_THAT(parse_error("name = 1979-05-27"), HasSubstr("a date or time"));
  EXPECT_THAT(parse_error("blocks.layers_per_block = [1, 2.5]"),
              HasSubstr("expected a list of integers"));
  EXPECT_THAT(parse_error("noise = 3"),
              HasSubstr("expected a table for noise, found an integer 3"));
  EXPECT_THAT(parse_error("[optim.eps]\nx = 1"),
              HasSubstr("expected a number for optim.eps, found a table"));
}

TEST(RecipeTest, AnUnknownChoiceListsTheChoices) {
  EXPECT_THAT(parse_error("method = \"gready\""),
              AllOf(HasSubstr("diffusion_blocks, end_to_end, "
                              "end_to_end_shallow, ensemble, greedy"),
                    HasSubstr("found \"gready\" (r.toml:1)"),
                    HasSubstr("did you mean greedy?")));
}

TEST(RecipeTest, SomeIntegersHaveAWordForZero) {
  const auto steps = [](std::string_view text, std::vector<std::string> sets) {
    return parse(text, std::move(sets)).config.train.steps_per_visit;
  };
  EXPECT_EQ(steps("train.steps_per_visit = \"auto\"", {}), 0);
  EXPECT_EQ(steps("", {"train.steps_per_visit=auto"}), 0);
  EXPECT_EQ(steps("", {"train.steps_per_visit=\"auto\""}), 0);
  EXPECT_THAT(parse_error("train.steps = \"auto\""), HasSubstr("integer"));
  EXPECT_THAT(parse_error("train.steps_per_visit = \"long\""),
              HasSubstr("integer"));
}

TEST(RecipeTest, SetWinsOverTheRecipeAndTheLastSetWins) {
  const LoadedConfig loaded =
      parse("optim.eps = 1e-3", {"optim.eps=1e-4", "optim.eps=1e-5"});
  EXPECT_EQ(loaded.config.optim.eps, 1e-5);
  EXPECT_EQ(describe(loaded.origins.at("optim.eps")), "--set");
}

TEST(RecipeTest, SetReachesEveryTypeAndTakesBareWords) {
  const RunConfig config =
      parse("", {"method=end_to_end", "data.root=/some/where else", "name=12",
                 "data.augment.flip=true", "blocks.layers_per_block=[3,6,3]",
                 "optim.clip_norm=2", "data.dataset=\"cifar10\""})
          .config;
  EXPECT_EQ(config.method, tasks::Method::kEndToEnd);
  EXPECT_EQ(config.data.root, "/some/where else");
  EXPECT_EQ(config.name, "12");
  EXPECT_TRUE(config.data.augment.flip);
  EXPECT_THAT(config.blocks.layers_per_block, ElementsAre(3, 6, 3));
  EXPECT_EQ(config.optim.clip_norm, 2);
  EXPECT_EQ(config.data.dataset, "cifar10");
}

TEST(RecipeTest, AWrongSetIsRefused) {
  EXPECT_THAT(parse_error("", {"seed"}), HasSubstr("expected key=value"));
  EXPECT_THAT(parse_error("", {"optim.lerning_rate=1"}),
              HasSubstr("nearest known key is optim.learning_rate"));
  EXPECT_THAT(parse_error("", {"train.steps=many"}),
              HasSubstr("expected an integer for train.steps, found \"many\" "
                        "(--set)"));
  EXPECT_THAT(parse_error("", {"train.steps="}), HasSubstr("found \"\""));
  EXPECT_THAT(parse_error("", {"method=greddy"}), HasSubstr("mean greedy"));
  EXPECT_THAT(parse_error("", {"optim={}"}), HasSubstr("the table optim"));
  EXPECT_THAT(parse_error("", {"=1"}), HasSubstr("known key"));
}

TEST(RecipeTest, ASetCannotSmuggleInAnotherKey) {
  EXPECT_THAT(parse_error("", {"train.steps=1\nseed = 5"}),
              HasSubstr("expected an integer for train.steps"));
}

TEST(RecipeTest, EveryValueKnowsItsOrigin) {
  LoadedConfig loaded = parse("\nseed = 4\n[train]\nsteps = 3\n");
  EXPECT_EQ(describe(loaded.origins.at("seed")), "r.toml:2");
  EXPECT_EQ(describe(loaded.origins.at("train.steps")), "r.toml:4");
  override_value(loaded, "seed", "9", {OriginKind::kFlag, "--seed"});
  EXPECT_EQ(loaded.config.seed, 9);
  EXPECT_EQ(describe(loaded.origins.at("seed")), "--seed");
}

TEST(RecipeTest, ReadsAFileAndRefusesWhatIsNone) {
  const auto folder = std::filesystem::temp_directory_path();
  const auto path = folder / "dblocks_recipe_test.toml";
  std::ofstream(path) << "seed = 3\n";
  const LoadedConfig loaded = load_recipe(path);
  EXPECT_EQ(loaded.config.seed, 3);
  EXPECT_EQ(describe(loaded.origins.at("seed")), path.string() + ":1");
  std::filesystem::remove(path);
  EXPECT_THAT(config_error([&] { load_recipe(path); }),
              AllOf(HasSubstr("nothing there"), HasSubstr(path.string())));
  EXPECT_THAT(config_error([&] { load_recipe(folder); }),
              HasSubstr("other than a file"));
}

TEST(SuggestTest, DistancesCountInsertRemoveReplaceAndSwap) {
  EXPECT_EQ(edit_distance("steps", "steps"), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("step", "steps"), 1u);
  EXPECT_EQ(edit_distance("stpes", "steps"), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
}

}  // namespace
}  // namespace dblocks::config
