// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "dblocks/core/error.h"
#include "dblocks/report/png.h"
#include "dblocks/report/run_page.h"

namespace dblocks::report {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;

Evaluation example() {
  const Score score{.accuracy = 0.75,
                    .cross_entropy = 0.5,
                    .calibration_error = 0.25,
                    .reliability = {{4, 3, 2.5}}};
  const SamplePrediction guess{"Coat", 0.9, 0.05};
  return {.run = "runs/a",
          .method = "diffusion_blocks",
          .dataset = "fashion_mnist",
          .num_images = 4,
          .steps = {7, 8},
          .draws = 2,
          .headline = "renoised_chain",
          .readouts = {{.name = "renoised_chain",
                        .answers_pooled = true,
                        .after_block = {score, score},
                        .pooled = score}},
          .settings = {"readout.draws=2"},
          .seconds = 1.5,
          .environment = {{"threads", "2"}},
          .samples = {{.index = 3,
                       .is_mistake = true,
                       .label = "Shirt",
                       .png_base64 = "AAAA",
                       .after_block = {guess, guess},
                       .answer = guess}}};
}

class EvaluationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    file_ = std::filesystem::temp_directory_path() /
            ("dblocks_eval_" + std::to_string(::getpid()) + ".json");
  }
  void TearDown() override { std::filesystem::remove(file_); }

  std::optional<Evaluation> read(const std::string& text) {
    std::ofstream(file_, std::ios::binary) << text;
    return read_evaluation(file_);
  }

  std::filesystem::path file_;
};

TEST_F(EvaluationTest, ReadsBackWhatItWrites) {
  const Json json = to_json(example(), Detail::kAll);
  EXPECT_EQ(to_json(*read(json.dump()), Detail::kAll), json);
}

TEST_F(EvaluationTest, ScoresAloneHaveTheFormOfTheCommandLine) {
  const Json json = to_json(example(), Detail::kScores);
  EXPECT_EQ(json["readouts"]["renoised_chain"]["accuracy"], 0.75);
  EXPECT_EQ(json["readouts"]["renoised_chain"]["answer"], "pooled");
  EXPECT_EQ(json["readouts"]["renoised_chain"]["after_block"].size(), 2);
  EXPECT_FALSE(json.contains("samples"));
  EXPECT_FALSE(json.contains("environment"));
}

TEST_F(EvaluationTest, AMissingFileIsNoEvaluation) {
  EXPECT_FALSE(read_evaluation("/nonexistent/eval.json"));
}

TEST_F(EvaluationTest, HostileFilesAreRefusedAndNamed) {
  const auto changed = [](const char* pointer, Json value) {
    Json json = to_json(example(), Detail::kAll);
    json[Json::json_pointer(pointer)] = std::move(value);
    return json.dump();
  };
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"),
        std::string(100'000, '['), changed("/readouts", Json::object()),
        changed("/readouts/renoised_chain/after_block", Json::array()),
        changed("/readouts/renoised_chain/pooled/accuracy", 7),
        changed("/readouts/renoised_chain/pooled/accuracy", "x"),
        changed("/samples/0/png", "\" onload=x"),
        changed("/samples/0/png", std::string(1 << 20, 'A')),
        changed("/samples/0/answer/probability", -1),
        changed("/samples/0/label", 3), changed("/steps", "no")}) {
    try {
      read(text);
      ADD_FAILURE() << "taken: " << text.substr(0, 100);
    } catch (const CheckpointError& error) {
      EXPECT_THAT(error.what(), HasSubstr(file_.string()));
      EXPECT_THAT(error.what(), HasSubstr("dblocks eval"));
    }
  }
}

TEST_F(EvaluationTest, MemoryRecordsAreReadOrRefused) {
  std::ofstream(file_) << R"({"batch_size":8,"blocks":[{"block":0,
      "num_layers":2,"num_parameters":5,"state_bytes":20,"peak_bytes":30}],
      "end_to_end":[],"peak_bytes":30,"end_to_end_peak_bytes":60})";
  EXPECT_EQ(read_memory_record(file_)->blocks.at(0).state_bytes, 20);
  std::ofstream(file_) << R"({"batch_size":8})";
  EXPECT_THROW(read_memory_record(file_), CheckpointError);
}

TEST(Base64Test, MatchesTheExamplesOfTheStandard) {
  const auto encoded = [](const std::string& text) {
    return base64({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  };
  EXPECT_EQ(encoded(""), "");
  EXPECT_EQ(encoded("f"), "Zg==");
  EXPECT_EQ(encoded("fo"), "Zm8=");
  EXPECT_EQ(encoded("foob"), "Zm9vYg==");
  EXPECT_EQ(encoded("foobar"), "Zm9vYmFy");
}

TEST(PngTest, WritesTheSizeAndShrinksByAWholeFactor) {
  const std::vector<uint8_t> pixels(3 * 100 * 60, 200);
  const std::string small = png_base64({3, 100, 60, pixels}, 64);
  // Signature and header: 8 + 8 bytes, then width and height; 24 bytes are 32
  // digits of base64.
  const uint8_t header[24] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n',
                              0,    0,   0,   13,  'I',  'H',  'D',  'R',
                              0,    0,   0,   30,  0,    0,    0,    50};
  EXPECT_EQ(small.substr(0, 32), base64(header));
  EXPECT_EQ(small, png_base64({3, 50, 30, std::span(pixels).first(4500)}, 64));
  EXPECT_THROW(png_base64({1, 2, 2, pixels}, 64), InternalError);
}

}  // namespace
}  // namespace dblocks::report
