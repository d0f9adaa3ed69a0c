// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/sweep_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "dblocks/config/recipe.h"
#include "dblocks/config/resolve.h"
#include "tests/config/testing.h"

namespace dblocks::config {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SweepTableTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name =
        (std::filesystem::temp_directory_path() / "dblocks_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  SweepTable read(const std::string& text) const {
    std::ofstream(folder_ / "t.toml") << text;
    return load_sweep_table(folder_ / "t.toml");
  }

  std::filesystem::path folder_;
};

TEST_F(SweepTableTest, ReadsEveryPart) {
  const SweepTable table = read(
      "recipe = \"a.toml\"\nseeds = [3, 4]\nset = \"train.steps=5  seed=1\"\n"
      "evaluate = \"evaluation.samples=9\"\n[variants]\nzeta = \"\"\n"
      "alpha-1 = \"blocks.layers_per_block=[1,4,1]\"\n");
  EXPECT_EQ(table.recipe, folder_ / "a.toml");
  EXPECT_THAT(table.seeds, ElementsAre(3, 4));
  EXPECT_THAT(table.overrides, ElementsAre("train.steps=5", "seed=1"));
  EXPECT_THAT(table.evaluation, ElementsAre("evaluation.samples=9"));
  ASSERT_EQ(table.variants.size(), 2u);
  EXPECT_EQ(table.variants[0].name, "zeta");
  EXPECT_THAT(table.variants[0].overrides, IsEmpty());
  EXPECT_THAT(table.variants[1].overrides,
              ElementsAre("blocks.layers_per_block=[1,4,1]"));
}

TEST_F(SweepTableTest, WhatIsNoTableIsNamed) {
  const auto error = [&](const std::string& text) {
    return config_error([&] { read(text); });
  };
  const std::string recipe = "recipe = \"a.toml\"\n";
  const std::string variants = "[variants]\na = \"\"\n";
  EXPECT_THAT(error(variants), HasSubstr("expected a recipe"));
  EXPECT_THAT(error(recipe), HasSubstr("[variants]"));
  EXPECT_THAT(error(recipe + "seeds = []\n" + variants), HasSubstr("seed"));
  EXPECT_THAT(error(recipe + "seeds = \"1\"\n" + variants),
              AllOf(HasSubstr("t.toml:2"), HasSubstr("seeds")));
  EXPECT_THAT(error(recipe + "sets = \"a=b\"\n" + variants),
              HasSubstr("found \"sets\""));
  EXPECT_THAT(error(recipe + "set = \"train.steps\"\n" + variants),
              HasSubstr("key=value"));
  EXPECT_THAT(error(recipe + "[variants]\n\"../x\" = \"\"\n"),
              HasSubstr("letters"));
  EXPECT_THAT(config_error([&] { load_sweep_table(folder_ / "none.toml"); }),
              HasSubstr("none.toml"));
}

TEST_F(SweepTableTest, EveryTableOfTheRepositoryGivesRunsThatResolve) {
  int64_t num_tables = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator("recipes/tables")) {
    const SweepTable table = load_sweep_table(entry.path());
    ++num_tables;
    for (const SweepVariant& variant : table.variants) {
      std::vector<std::string> overrides = table.overrides;
      overrides.insert(overrides.end(), variant.overrides.begin(),
                       variant.overrides.end());
      LoadedConfig loaded = load_recipe(table.recipe, overrides);
      EXPECT_NO_THROW(resolve(loaded, 60000))
          << entry.path() << " " << variant.name;
    }
  }
  EXPECT_GE(num_tables, 3);
}

TEST_F(SweepTableTest, TablesOfEqualTotalsTakeEqualStepsInAll) {
  const auto totals = [](const std::string& name, int64_t num_samples) {
    const SweepTable table = load_sweep_table("recipes/tables/" + name);
    std::set<int64_t> found;
    for (const SweepVariant& variant : table.variants) {
      LoadedConfig loaded = load_recipe(table.recipe, variant.overrides);
      resolve(loaded, num_samples);
      found.insert(loaded.config.train.steps * loaded.config.blocks.num_blocks);
    }
    return found;
  };
  EXPECT_THAT(totals("cifar10_dit_num_blocks_equal_total.toml", 50000),
              testing::ElementsAre(3 * 100 * 97));
  EXPECT_THAT(totals("dit_num_blocks_equal_total.toml", 60000),
              testing::ElementsAre(4500));
}

}  // namespace
}  // namespace dblocks::config
