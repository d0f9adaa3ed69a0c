// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/run_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "dblocks/report/compare_page.h"
#include "dblocks/report/page_shell.h"
#include "dblocks/report/sweep_page.h"

namespace dblocks::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kHostile = "</script><img src=x onerror=alert(1)>\"'&";

/// A finished run of `blocks` blocks that logged `rows` entries each.
RunPage page_of(size_t blocks, int64_t rows) {
  RunPage page{.name = "some run",
               .folder = "runs/some",
               .method = "diffusion_blocks",
               .dataset = "fashion_mnist",
               .steps = rows,
               .batch_size = 64,
               .version = "0.1.0",
               .partition = PartitionChart{}};
  for (size_t b = 0; b < blocks; ++b) {
    BlockState state{.checkpoint_step = rows};
    state.log.last_step = rows;
    state.log.images_per_second = 32;
    for (int64_t step = 1; step <= rows; ++step) {
      const double loss = 2.0 + std::sin(static_cast<double>(step));
      state.log.points.push_back({step, loss, 0.123456789});
    }
    state.log.num_rows = rows;
    page.blocks.push_back(state);
    page.partition->blocks.push_back({.low = 1, .high = 2});
  }
  return page;
}

Evaluation evaluation_of(size_t blocks, size_t samples) {
  const Score score{.accuracy = 0.5,
                    .cross_entropy = 1.25,
                    .calibration_error = 0.125,
                    .reliability = {{4, 3, 2.5}, {0, 0, 0}}};
  Evaluation evaluation{.method = "diffusion_blocks",
                        .steps = std::vector<int64_t>(blocks, 10),
                        .headline = "renoised_chain"};
  for (const char* name : {"stochastic_chain", "renoised_chain"}) {
    evaluation.readouts.push_back(
        {.name = name,
         .answers_pooled = true,
         .after_block = std::vector<Score>(blocks, score),
         .pooled = score});
  }
  for (size_t i = 0; i < samples; ++i) {
    evaluation.samples.push_back(
        {.label = kHostile,
         .png_base64 = std::string(12000, 'A'),
         .after_block = std::vector<SamplePrediction>(blocks)});
  }
  return evaluation;
}

/// The data that a page holds.
nlohmann::json data_of(const std::string& html) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const size_t begin = html.find(open) + open.size();
  return nlohmann::json::parse(
      html.substr(begin, html.find("</script>", begin) - begin));
}

TEST(RunPageTest, HoldsTheFiguresOfTheRun) {
  RunPage page = page_of(2, 10);
  page.evaluation = evaluation_of(2, 1);
  page.memory = MemoryRecord{.peak_bytes = 3, .end_to_end_peak_bytes = 4};
  page.recipe = {{.key = "seed", .value = "7", .origin = "recipes/x.toml:3"}};
  const auto data = data_of(run_page_html(page));
  EXPECT_EQ(data["blocks"].size(), 2);
  EXPECT_EQ(data["blocks"][1]["steps_done"], 10);
  EXPECT_EQ(data["blocks"][0]["points"].size(), 10);
  EXPECT_EQ(data["evaluation"]["readouts"][1]["name"], "renoised_chain");
  EXPECT_EQ(data["evaluation"]["readouts"][1]["pooled"]["accuracy"], 0.5);
  EXPECT_FALSE(data["is_evaluation_old"]);
  EXPECT_EQ(data["memory"]["end_to_end_peak_bytes"], 4);
  EXPECT_EQ(data["recipe"][0][3], "recipes/x.toml:3");
  EXPECT_EQ(data["training_seconds"], 2 * 10 * 64 / 32);
}

TEST(RunPageTest, TextFromTheRunIsNeverMarkup) {
  RunPage page = page_of(1, 2);
  page.name = page.folder = page.dataset = kHostile;
  page.problems = {kHostile};
  page.evaluation = evaluation_of(1, 1);
  page.recipe = {{.key = "name", .value = kHostile, .origin = kHostile}};
  page.training_environment = {{kHostile, kHostile}};
  const std::string html = run_page_html(page);
  EXPECT_THAT(html, Not(HasSubstr("<img src=x")));
  const auto data = data_of(html);
  EXPECT_EQ(data["name"], kHostile);
  EXPECT_EQ(data["evaluation"]["samples"][0]["label"], kHostile);
  EXPECT_EQ(data["recipe"][0][1], kHostile);
}

TEST(RunPageTest, BytesThatAreNoUtf8AreReplaced) {
  RunPage page = page_of(1, 1);
  page.name = "a\xff\xfe z";
  EXPECT_EQ(data_of(run_page_html(page))["name"], "a\uFFFD\uFFFD z");
}

TEST(RunPageTest, ForbidsItselfEveryRequest) {
  const std::string html = run_page_html(page_of(1, 1));
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  for (const char* word : {"<link rel=\"stylesheet\"", "src=\"http", "@import",
                           "fetch(", "XMLHttpRequest"}) {
    EXPECT_THAT(html, Not(HasSubstr(word)));
  }
}

TEST(RunPageTest, HundredThousandStepsOfTwelveBlocksStayUnderTwoMegabytes) {
  RunPage page = page_of(12, 100'000);
  page.evaluation = evaluation_of(12, 12);
  page.name = std::string(1 << 20, 'x');
  const std::string html = run_page_html(page);
  EXPECT_LT(html.size(), 2'000'000);
  for (const auto& block : data_of(html)["blocks"]) {
    EXPECT_GT(block["points"].size(), 1000);
    EXPECT_EQ(block["points"].back()[0], 100'000);
  }
}

TEST(RunPageTest, LossesThatAreNoNumbersAreKeptAsGaps) {
  RunPage page = page_of(1, 3);
  page.blocks[0].log.points[1].loss = NAN;
  EXPECT_TRUE(
      data_of(run_page_html(page))["blocks"][0]["points"][1][1].is_null());
}

TEST(RunPageTest, AnEvaluationOfAnEarlierStateIsOld) {
  RunPage page = page_of(2, 10);
  page.evaluation = evaluation_of(2, 0);
  EXPECT_FALSE(page.is_evaluation_old());
  page.blocks[1].checkpoint_step = 11;
  EXPECT_TRUE(page.is_evaluation_old());
}

TEST(ComparePageTest, SeedsOfOneRecipeFormAGroupWithMeanAndSpread) {
  std::vector<ComparedRun> runs(4);
  runs[0] = {.name = "a", .group = "x", .seed = 0, .accuracy = 0.8};
  runs[1] = {.name = "b", .group = "y", .accuracy = 0.5};
  runs[2] = {.name = "a", .group = "x", .seed = 1, .accuracy = 0.9};
  runs[3] = {.name = "a", .group = "x", .seed = 2};
  const auto groups = grouped(runs);
  ASSERT_EQ(groups.size(), 2);
  EXPECT_EQ(groups[0].runs, (std::vector<size_t>{0, 2, 3}));
  EXPECT_EQ(groups[0].accuracy.count, 2);
  EXPECT_DOUBLE_EQ(groups[0].accuracy.mean, 0.85);
  EXPECT_NEAR(groups[0].accuracy.deviation, 0.1 / std::sqrt(2), 1e-12);
  EXPECT_TRUE(std::isnan(groups[1].accuracy.deviation));
  const auto json = comparison_json(runs);
  EXPECT_TRUE(json["runs"][3]["accuracy"].is_null());
  EXPECT_EQ(json["groups"][0]["accuracy"]["count"], 2);
}

TEST(ComparePageTest, NamesAreNeverMarkup) {
  const std::string html = compare_page_html(
      {{.folder = kHostile, .name = kHostile, .missing = kHostile}});
  EXPECT_THAT(html, Not(HasSubstr("<img src=x")));
  EXPECT_EQ(data_of(html)["runs"][0]["name"], kHostile);
}

TEST(SweepPageTest, SumsUpSeedsAndLeavesOutWhatIsNotKnown) {
  const SweepResults results{
      .recipe = "small",
      .figures = {"frechet_distance", "recall"},
      .variants = {
          {"equal",
           {{"equal_seed_0", 0, {4, 0.5}}, {"equal_seed_1", 1, {6, NAN}}}},
          {"<b>log", {{"log_seed_0", 0, {NAN}}}}}};
  EXPECT_EQ(sweep_csv(results),
            "variant,seed,run,frechet_distance,recall\n"
            "equal,0,equal_seed_0,4,0.5\n"
            "equal,1,equal_seed_1,6,\n"
            "<b>log,0,log_seed_0,\n");
  const std::string markdown = sweep_markdown(results);
  EXPECT_THAT(markdown, HasSubstr("| equal | 2 | 5.0000 +- 1.4142 | 0.5000 |"));
  EXPECT_THAT(markdown, HasSubstr("| <b>log | 1 | - | - |"));
  const std::string html = sweep_page_html(results);
  EXPECT_THAT(html, HasSubstr("equal_seed_1"));
  EXPECT_THAT(html, Not(HasSubstr("<b>log")));
  const auto data = data_of(html);
  EXPECT_EQ(data["variants"][0]["figures"][0]["mean"], 5);
  EXPECT_TRUE(data["variants"][1]["figures"][0]["mean"].is_null());
}

}  // namespace
}  // namespace dblocks::report
