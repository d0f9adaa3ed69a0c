// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/image_evaluation.h"

#include "dblocks/report/image_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "dblocks/core/error.h"

namespace dblocks::report {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ImageEvaluation some_evaluation() {
  return {.run = "runs/dit",
          .method = "diffusion_blocks",
          .dataset = "fashion_mnist",
          .steps = {10, 20},
          .num_images = 500,
          .sampling_steps = 50,
          .guidance = 1.5,
          .seed = 3,
          .sampling_seconds = 7.25,
          .scores = {{"pixels, 500 images", 12.5, 0.75, 0.25, 3, 400}},
          .asked_class_share = 0.5,
          .block_loss = {0.25, 0.125},
          .noise_curves = {{"runs/dit",
                            "diffusion_blocks",
                            {{0.5, 1, 0.75}, {2, 0, 0.25}}}},
          .grid_png_base64 = "iVBORw0=",
          .nearest_png_base64 = "iVBO"};
}

class ImageEvaluationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name =
        (std::filesystem::temp_directory_path() / "dblocks_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write(const std::string& text) const {
    std::filesystem::path file = folder_ / "image_eval.json";
    std::ofstream(file) << text;
    return file;
  }

  std::filesystem::path folder_;
};

TEST_F(ImageEvaluationTest, WhatIsKeptIsReadBack) {
  const auto found = read_image_evaluation(
      write(to_json(some_evaluation(), Detail::kAll).dump()));
  ASSERT_TRUE(found);
  EXPECT_THAT(found->steps, ElementsAre(10, 20));
  EXPECT_EQ(found->num_images, 500);
  EXPECT_EQ(found->guidance, 1.5);
  ASSERT_EQ(found->scores.size(), 1u);
  EXPECT_EQ(found->scores[0].name, "pixels, 500 images");
  EXPECT_EQ(found->scores[0].frechet_distance, 12.5);
  EXPECT_EQ(found->scores[0].num_neighbour_images, 400);
  EXPECT_EQ(found->asked_class_share, 0.5);
  EXPECT_THAT(found->block_loss, ElementsAre(0.25, 0.125));
  ASSERT_EQ(found->noise_curves.size(), 1u);
  EXPECT_EQ(found->noise_curves[0].method, "diffusion_blocks");
  ASSERT_EQ(found->noise_curves[0].points.size(), 2u);
  EXPECT_EQ(found->noise_curves[0].points[1].sigma, 2);
  EXPECT_EQ(found->noise_curves[0].points[0].block, 1);
  EXPECT_EQ(found->noise_curves[0].points[0].loss, 0.75);
  EXPECT_EQ(found->grid_png_base64, "iVBORw0=");
  EXPECT_EQ(found->nearest_png_base64, "iVBO");
  EXPECT_FALSE(read_image_evaluation(folder_ / "none.json"));
  EXPECT_FALSE(to_json(some_evaluation(), Detail::kScores).contains("grid"));
}

TEST_F(ImageEvaluationTest, AnOlderOneHasNoNoiseCurves) {
  Json old = to_json(some_evaluation(), Detail::kAll);
  old.erase("noise_curves");
  const auto found = read_image_evaluation(write(old.dump()));
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->noise_curves.empty());
}

TEST_F(ImageEvaluationTest, DistancesOfLaterEvaluationsAreAdded) {
  ImageHistory history;
  ImageEvaluation evaluation = some_evaluation();
  add_evaluation(evaluation, history);
  evaluation.steps = {30, 25};
  evaluation.scores.push_back({"inception-0, 500 images", 40, 1, 1, 3, 400});
  add_evaluation(evaluation, history);
  evaluation.scores[0].frechet_distance = 9;
  add_evaluation(evaluation, history);
  const auto file = write(image_history_json(history));
  const ImageHistory found = read_image_history(file);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].steps, 10);
  EXPECT_EQ(found[0].frechet_distance, 12.5);
  EXPECT_EQ(found[1].steps, 25);
  EXPECT_EQ(found[1].frechet_distance, 9);
  EXPECT_EQ(found[2].name, "inception-0, 500 images");
  EXPECT_TRUE(read_image_history(folder_ / "none.json").empty());
  EXPECT_THROW(read_image_history(write("{\"points\": [1]}")), CheckpointError);
  EXPECT_THROW(read_image_history(write("[")), CheckpointError);
}

TEST_F(ImageEvaluationTest, DamageIsNamed) {
  const Json good = to_json(some_evaluation(), Detail::kAll);
  const auto expect_refused = [&](const std::string& text) {
    const auto file = write(text);
    try {
      read_image_evaluation(file);
      ADD_FAILURE() << "read " << text;
    } catch (const CheckpointError& error) {
      EXPECT_THAT(error.what(), HasSubstr(file.string()));
    }
  };
  for (const auto& item : good.items()) {
    if (item.key() != "asked_class_share" && item.key() != "noise_curves") {
      Json bad = good;
      bad.erase(item.key());
      expect_refused(bad.dump());
    }
  }
  Json bad = good;
  bad["nearest"]["png"] = "\"><script>";
  expect_refused(bad.dump());
  bad = good;
  bad["scores"][0]["precision"] = 2;
  expect_refused(bad.dump());
  bad = good;
  bad["scores"] = Json::array();
  expect_refused(bad.dump());
  bad = good;
  bad["noise_curves"][0]["points"][1]["sigma"] = 0.5;
  expect_refused(bad.dump());
  bad = good;
  bad["noise_curves"][0]["points"][0].erase("loss");
  expect_refused(bad.dump());
  expect_refused(good.dump().substr(0, 60));
  expect_refused("[]");
}

}  // namespace
}  // namespace dblocks::report
