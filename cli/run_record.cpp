// SPDX-License-Identifier: Apache-2.0
#include "cli/run_record.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "cli/environment.h"
#include "cli/previews.h"
#include "dblocks/checkpoint/store.h"
#include "dblocks/config/dump.h"
#include "dblocks/config/field_list.h"
#include "dblocks/config/recipe.h"
#include "dblocks/config/setup.h"
#include "dblocks/core/error.h"
#include "dblocks/core/file_system.h"
#include "dblocks/tasks/task.h"

namespace dblocks::cli {
namespace {

constexpr uint64_t kMaxRecipeBytes = 1 << 20;
// The page thins further; this bounds what is held meanwhile.
constexpr size_t kMaxPointsPerBlock = 20000;
constexpr size_t kMaxPreviews = 12;

report::PartitionChart partition_chart(const tasks::Task& task) {
  constexpr int kPoints = 400;
  const auto& partition = task.partition();
  const double low = std::log(partition.boundaries().front());
  const double high = std::log(partition.boundaries().back());
  report::PartitionChart chart;
  for (int i = 0; i <= kPoints; ++i) {
    const double log_sigma = low + (high - low) * i / kPoints;
    // The density is 0 outside the range; rounding must not leave it.
    const double sigma =
        std::clamp(std::exp(log_sigma), partition.boundaries().front(),
                   partition.boundaries().back());
    chart.log_sigma.push_back(log_sigma);
    chart.density.push_back(partition.schedule().log_density(sigma));
  }
  for (int64_t block = 0; block < partition.num_blocks(); ++block) {
    const auto own = partition.interval(block);
    const auto training = partition.training_interval(block);
    chart.blocks.push_back({.low = own.low,
                            .high = own.high,
                            .training_low = training.low,
                            .training_high = training.high,
                            .mass = partition.mass(block)});
  }
  return chart;
}

std::vector<report::RecipeRow> recipe_rows(const config::RunConfig& config,
                                           const std::string& text) {
  const auto origins = config::dumped_origins(text);
  const config::FieldList list = config::list_fields(config);
  std::vector<report::RecipeRow> rows;
  for (const config::Field& field : list.fields) {
    const auto origin = origins.find(field.key);
    rows.push_back(
        {.key = field.key,
         .value = config::to_toml(field.value),
         .unit = std::string(field.unit),
         .origin = origin == origins.end() ? "not recorded" : origin->second,
         .meaning = std::string(field.help)});
  }
  return rows;
}

int64_t newest_step(const train::RunFolder& folder, int64_t block) {
  FileSystem& disk = real_file_system();
  if (!disk.exists(folder.checkpoints(block))) {
    return 0;
  }
  const auto steps =
      checkpoint::CheckpointStore(disk, folder.checkpoints(block)).steps();
  return steps.empty() ? 0 : steps.back();
}

/// Runs `read`; an error of it becomes a problem of the page.
template <class Read>
void attempt(report::RunPage& page, const Read& read) {
  try {
    read();
  } catch (const Error& error) {
    page.problems.emplace_back(error.what());
  }
}

}  // namespace

RunRecord read_run(const std::filesystem::path& root) {
  FileSystem& disk = real_file_system();
  const train::RunFolder folder(root);
  DBLOCKS_CHECK(disk.exists(folder.resolved()), CheckpointError,
                "[run] {}: expected the folder of a run (with {}), found none",
                root.string(), folder.resolved().filename().string());
  const std::string text = disk.read_file(folder.resolved(), kMaxRecipeBytes);
  RunRecord record{
      .config = config::parse_recipe(text, folder.resolved().string()).config};
  const config::RunConfig& c = record.config;
  const std::unique_ptr<tasks::Task> task =
      tasks::make_task(config::make_setup(c, {}).task);
  report::RunPage& page = record.page;
  page = {.name = c.name,
          .folder = root.string(),
          .method = std::string(enum_name(c.method)),
          .dataset = c.data.dataset,
          .seed = c.seed,
          .steps = c.train.steps,
          .batch_size = c.data.batch_size,
          .version = DBLOCKS_VERSION,
          .generates_images = c.generates_images(),
          .recipe = recipe_rows(c, text)};
  for (int64_t block = 0; block < task->num_units(); ++block) {
    page.blocks.push_back({.first_layer = task->layers(block).first,
                           .end_layer = task->layers(block).last,
                           .checkpoint_step = newest_step(folder, block)});
    attempt(page, [&] {
      page.blocks.back().log =
          report::read_training_log(folder.log(block), kMaxPointsPerBlock);
    });
  }
  if (c.method == tasks::Method::kDiffusionBlocks) {
    page.partition = partition_chart(*task);
  }
  attempt(page, [&] {
    page.evaluation = report::read_evaluation(root / kEvaluationName);
  });
  attempt(page, [&] {
    page.images = report::read_image_evaluation(root / kImageEvaluationName);
  });
  attempt(page, [&] {
    page.image_history = report::read_image_history(root / kImageHistoryName);
  });
  attempt(page, [&] { page.previews = read_previews(root, kMaxPreviews); });
  attempt(page, [&] {
    page.memory = report::read_memory_record(root / kMemoryName);
  });
  attempt(page, [&] {
    page.training_environment = read_environment(root / kEnvironmentName);
  });
  return record;
}

std::string shell_word(const std::string& text) {
  const bool is_plain =
      !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
        return std::isalnum(c) != 0 ||
               std::string_view("_-./=:,+@").find(static_cast<char>(c)) !=
                   std::string_view::npos;
      });
  if (is_plain) {
    return text;
  }
  std::string quoted = "'";
  for (const char c : text) {
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return quoted + "'";
}

}  // namespace dblocks::cli
