// SPDX-License-Identifier: Apache-2.0
// The recipes of the repository and the page that documents their keys.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "dblocks/config/dump.h"
#include "dblocks/config/explain.h"
#include "dblocks/config/field_list.h"
#include "dblocks/config/recipe.h"
#include "dblocks/config/resolve.h"
#include "dblocks/config/validate.h"

namespace dblocks::config {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::string read_text(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<std::filesystem::path> recipe_paths() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator("recipes")) {
    if (entry.path().extension() == ".toml") {
      paths.push_back(entry.path());
    }
  }
  return paths;
}

data::DatasetInfo info_of(const std::string& name) {
  data::DatasetInfo info;
  info.name = name;
  const std::map<std::string, std::pair<int64_t, int64_t>> side_and_classes = {
      {"fashion_mnist", {28, 10}},
      {"cifar10", {32, 10}},
      {"cifar100", {32, 100}},
      {"safetensors", {32, 1000}},
      {"tiny_imagenet", {64, 200}}};
  const auto [side, classes] = side_and_classes.at(name);
  info.rows = info.columns = side;
  info.class_names.resize(classes);
  return info;
}

int64_t train_size(const RunConfig& config) {
  const std::map<std::string, int64_t> sizes = {{"fashion_mnist", 60000},
                                                {"cifar10", 50000},
                                                {"cifar100", 50000},
                                                {"safetensors", 1281167},
                                                {"tiny_imagenet", 100000}};
  return sizes.at(config.data.dataset);
}

RunConfig resolved(const std::string& name) {
  LoadedConfig loaded = load_recipe("recipes/" + name + ".toml");
  resolve(loaded, train_size(loaded.config));
  return loaded.config;
}

TEST(RecipesTest, EveryRecipeResolvesWithoutAWarning) {
  ASSERT_GE(recipe_paths().size(), 10u);
  for (const auto& path : recipe_paths()) {
    SCOPED_TRACE(path);
    LoadedConfig loaded = load_recipe(path);
    const int64_t size = train_size(loaded.config);
    ASSERT_NO_THROW(resolve(loaded, size));
    EXPECT_NO_THROW(validate_for_data(
        loaded.config, info_of(loaded.config.data.dataset), size));
    EXPECT_THAT(warnings(loaded.config), IsEmpty());
    EXPECT_EQ(loaded.config.name, path.stem());
  }
}

TEST(RecipesTest, EveryRecipeSurvivesItsDump) {
  for (const auto& path : recipe_paths()) {
    LoadedConfig loaded = load_recipe(path);
    resolve(loaded, train_size(loaded.config));
    const LoadedConfig again = parse_recipe(dump_toml(loaded), "resolved.toml");
    EXPECT_TRUE(std::ranges::equal(list_fields(loaded.config).fields,
                                   list_fields(again.config).fields, {},
                                   &Field::value, &Field::value))
        << path;
  }
}

TEST(RecipesTest, EveryRecipeSaysWhatToExpectAndHowToRunIt) {
  for (const auto& path : recipe_paths()) {
    const std::string text = read_text(path);
    for (const std::string heading :
         {"# Reproduces ", "# Expected ", "# Hardware ", "# Command "}) {
      EXPECT_THAT(text, HasSubstr(heading)) << path;
    }
    EXPECT_THAT(text, HasSubstr("dblocks train " + path.string())) << path;
  }
}

TEST(RecipesTest, TheBaselinesDifferFromTheQuickstartByTheMethodAlone) {
  const RunConfig ours = resolved("fashion_mnist_vit");
  for (const std::string name :
       {"end_to_end", "shallow", "ensemble", "greedy"}) {
    const RunConfig baseline = resolved("fashion_mnist_vit_" + name);
    EXPECT_NE(baseline.method, ours.method);
    // Denoising has keys of its own, compared nowhere here.
    for (const std::string table : {"data", "optim", "train", "checkpoint"}) {
      for (const Field& field : list_fields(ours).fields) {
        if (field.table.starts_with(table)) {
          EXPECT_EQ(field.value, list_fields(baseline).find(field.key)->value)
              << name << " " << field.key;
        }
      }
    }
    EXPECT_EQ(baseline.model.width, ours.model.width);
    EXPECT_EQ(baseline.model.num_layers, ours.model.num_layers);
    EXPECT_EQ(baseline.model.mlp_width, ours.model.mlp_width);
    EXPECT_EQ(baseline.blocks.num_blocks, ours.blocks.num_blocks);
  }
}

TEST(RecipesTest, ThePaperTrainsEachBlockFor195000Steps) {
  const RunConfig paper = resolved("cifar100_vit_paper");
  EXPECT_EQ(paper.train.steps, 195000);
  EXPECT_EQ(paper.optim.warmup_steps, 3900);
  EXPECT_EQ(paper.model.sigma_embedding_width, 21);
  const RunConfig published = resolved("cifar100_vit_published");
  EXPECT_EQ(published.train.steps, 195000);
  EXPECT_EQ(published.readout.chain_steps, 3);
  EXPECT_EQ(resolved("tiny_imagenet_vit").train.steps, 39000);
}

TEST(RecipesTest, ThePaperTrainsGeneratingBlocksForAHundredEpochs) {
  const RunConfig cifar = resolved("cifar10_dit_s");
  EXPECT_EQ(cifar.train.steps, 100 * 97);
  EXPECT_EQ(cifar.num_layers(), 12);
  EXPECT_EQ(resolved("cifar100_dit_s").train.steps, 100 * 97);
  const RunConfig imagenet = resolved("imagenet256_latent_dit_l");
  EXPECT_EQ(imagenet.train.steps, 100 * 2502);
  EXPECT_EQ(imagenet.dit.width, 1024);
}

TEST(RecipesTest, TheBaselinesOfGenerationDoTheSameWorkOnTheSameNetwork) {
  const RunConfig ours = resolved("fashion_mnist_dit");
  const int64_t work = ours.train.steps * ours.num_layers();
  for (const std::string name : {"end_to_end", "shallow"}) {
    const RunConfig baseline = resolved("fashion_mnist_dit_" + name);
    EXPECT_NE(baseline.method, ours.method);
    for (const std::string table :
         {"data", "dit", "noise", "generation", "sampling", "optim"}) {
      for (const Field& field : list_fields(ours).fields) {
        if (field.table.starts_with(table)) {
          EXPECT_EQ(field.value, list_fields(baseline).find(field.key)->value)
              << name << " " << field.key;
        }
      }
    }
    const int64_t layers = name == "shallow"
                               ? ours.num_layers() / ours.blocks.num_blocks
                               : ours.num_layers();
    EXPECT_EQ(baseline.train.steps * layers, work) << name;
  }
}

TEST(ExplainTest, ShowsEveryKeyWithDefaultUnitAndMeaning) {
  const std::string text = explain();
  for (const Field& field : list_fields(RunConfig{}).fields) {
    EXPECT_THAT(text, HasSubstr("  " + field.key + " "));
    EXPECT_THAT(text, HasSubstr(std::string(field.help)));
    EXPECT_FALSE(field.help.empty()) << field.key;
  }
  EXPECT_THAT(text, HasSubstr("unit: steps of one block"));
  EXPECT_THAT(text, HasSubstr("values: per_block, frozen, shared"));
}

TEST(ExplainTest, ThePageOfKeysIsUpToDate) {
  EXPECT_EQ(read_text("docs/recipes.md"), explain_markdown())
      << "run tools/update_docs and commit docs/recipes.md";
}

}  // namespace
}  // namespace dblocks::config
