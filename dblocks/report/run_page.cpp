// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/run_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "dblocks/core/error.h"
#include "dblocks/core/file_system.h"
#include "dblocks/report/page_shell.h"

namespace dblocks::report {
namespace {

using Json = nlohmann::ordered_json;
using internal::rounded;

constexpr uint64_t kMaxRecordBytes = 1 << 20;
// Points of all curves together; what a screen can tell apart, many times over.
constexpr size_t kMaxPoints = 16000;

Json partition_json(const PartitionChart& chart) {
  Json json{{"log_sigma", Json::array()},
            {"density", Json::array()},
            {"blocks", Json::array()}};
  for (size_t i = 0; i < chart.log_sigma.size(); ++i) {
    json["log_sigma"].push_back(rounded(chart.log_sigma[i]));
    json["density"].push_back(rounded(chart.density[i]));
  }
  for (const PartitionChart::Block& block : chart.blocks) {
    json["blocks"].push_back({{"low", block.low},
                              {"high", block.high},
                              {"training_low", block.training_low},
                              {"training_high", block.training_high},
                              {"mass", block.mass}});
  }
  return json;
}

Json points_json(const std::vector<LogPoint>& points) {
  Json json = Json::array();
  for (const LogPoint& point : points) {
    json.push_back({point.step, rounded(point.loss), rounded(point.accuracy)});
  }
  return json;
}

Json block_json(const RunPage& page, size_t index) {
  const BlockState& block = page.blocks[index];
  const size_t most = std::max<size_t>(kMaxPoints / page.blocks.size(), 16);
  return {{"first_layer", block.first_layer},
          {"end_layer", block.end_layer},
          {"steps_done", page.steps_done(index)},
          {"checkpoint_step", block.checkpoint_step},
          {"num_rows", block.log.num_rows},
          {"num_damaged", block.log.num_damaged},
          {"points", points_json(thinned(block.log.points, most))},
          {"trend", points_json(block.log.trend)}};
}

Json units_json(const std::vector<MemoryRecord::Unit>& units) {
  Json json = Json::array();
  for (const MemoryRecord::Unit& unit : units) {
    json.push_back({{"block", unit.block},
                    {"num_layers", unit.num_layers},
                    {"num_parameters", unit.num_parameters},
                    {"state_bytes", unit.state_bytes},
                    {"peak_bytes", unit.peak_bytes}});
  }
  return json;
}

Json facts_json(const std::vector<NamedValue>& facts) {
  Json json = Json::array();
  for (const NamedValue& fact : facts) {
    json.push_back({fact.name, fact.value});
  }
  return json;
}

Json evaluation_json(const Evaluation& evaluation) {
  Json json = to_json(evaluation, Detail::kAll);
  json["environment"] = facts_json(evaluation.environment);
  // An array keeps the order of readouts, which an object would not if a name
  // looked like a number.
  Json readouts = Json::array();
  for (const ReadoutScore& readout : evaluation.readouts) {
    Json item = json["readouts"][readout.name];
    item["name"] = readout.name;
    readouts.push_back(std::move(item));
  }
  json["readouts"] = std::move(readouts);
  return json;
}

std::vector<MemoryRecord::Unit> units_of(const Json& json) {
  std::vector<MemoryRecord::Unit> units;
  for (const Json& unit : json) {
    units.push_back({unit.at("block").get<int64_t>(),
                     unit.at("num_layers").get<int64_t>(),
                     unit.at("num_parameters").get<int64_t>(),
                     unit.at("state_bytes").get<int64_t>(),
                     unit.at("peak_bytes").get<int64_t>()});
  }
  return units;
}

}  // namespace

std::optional<MemoryRecord> read_memory_record(
    const std::filesystem::path& file) {
  FileSystem& disk = real_file_system();
  if (!disk.exists(file)) {
    return std::nullopt;
  }
  try {
    const Json json = Json::parse(disk.read_file(file, kMaxRecordBytes));
    return MemoryRecord{.batch_size = json.at("batch_size").get<int64_t>(),
                        .blocks = units_of(json.at("blocks")),
                        .end_to_end = units_of(json.at("end_to_end")),
                        .peak_bytes = json.at("peak_bytes").get<int64_t>(),
                        .end_to_end_peak_bytes =
                            json.at("end_to_end_peak_bytes").get<int64_t>()};
  } catch (const Json::exception& error) {
    throw CheckpointError(fmt::format(
        "[memory_record] {}: expected a measurement of memory, found: {}. "
        "Hint: dblocks memory writes it anew",
        file.string(), error.what()));
  }
}

int64_t RunPage::steps_done(size_t block) const {
  return std::max(blocks[block].checkpoint_step, blocks[block].log.last_step);
}

bool RunPage::is_evaluation_old() const {
  if (!evaluation && !images) {
    return false;
  }
  const std::vector<int64_t>& then =
      evaluation ? evaluation->steps : images->steps;
  for (size_t block = 0; block < blocks.size(); ++block) {
    if (block >= then.size() || then[block] != blocks[block].checkpoint_step) {
      return true;
    }
  }
  return false;
}

int64_t RunPage::logged_peak_bytes() const {
  int64_t peak = 0;
  for (const BlockState& block : blocks) {
    peak = std::max(peak, block.log.peak_tensor_bytes);
  }
  return peak;
}

double RunPage::training_seconds() const {
  double seconds = 0;
  for (const BlockState& block : blocks) {
    if (block.log.images_per_second > 0) {
      seconds += static_cast<double>(block.log.last_step * batch_size) /
                 block.log.images_per_second;
    }
  }
  return seconds;
}

std::string run_page_html(const RunPage& page) {
  Json json{{"name", page.name},
            {"folder", page.folder},
            {"method", page.method},
            {"dataset", page.dataset},
            {"seed", page.seed},
            {"steps", page.steps},
            {"batch_size", page.batch_size},
            {"version", page.version},
            {"training_seconds", rounded(page.training_seconds())},
            {"logged_peak_bytes", page.logged_peak_bytes()},
            {"problems", page.problems},
            {"blocks", Json::array()},
            {"partition", nullptr},
            {"generates_images", page.generates_images},
            {"evaluation", nullptr},
            {"images", nullptr},
            {"image_history", Json::array()},
            {"previews", Json::array()},
            {"is_evaluation_old", page.is_evaluation_old()},
            {"memory", nullptr},
            {"recipe", Json::array()},
            {"training_environment", facts_json(page.training_environment)}};
  for (size_t block = 0; block < page.blocks.size(); ++block) {
    json["blocks"].push_back(block_json(page, block));
  }
  if (page.partition) {
    json["partition"] = partition_json(*page.partition);
  }
  if (page.evaluation) {
    json["evaluation"] = evaluation_json(*page.evaluation);
  }
  if (page.images) {
    json["images"] = to_json(*page.images, Detail::kAll);
  }
  for (const HistoryPoint& point : page.image_history) {
    json["image_history"].push_back(
        {point.steps, point.name, point.frechet_distance});
  }
  for (const Preview& preview : page.previews) {
    json["previews"].push_back(
        {{"steps", preview.steps}, {"png", preview.png_base64}});
  }
  if (page.memory) {
    json["memory"] = {
        {"batch_size", page.memory->batch_size},
        {"peak_bytes", page.memory->peak_bytes},
        {"end_to_end_peak_bytes", page.memory->end_to_end_peak_bytes},
        {"blocks", units_json(page.memory->blocks)},
        {"end_to_end", units_json(page.memory->end_to_end)}};
  }
  for (const RecipeRow& row : page.recipe) {
    json["recipe"].push_back(
        {row.key, row.value, row.unit, row.origin, row.meaning});
  }
  const std::string& title = page.name.empty() ? page.folder : page.name;
  return internal::page_shell(title + " - dblocks", internal::kRunPageScript,
                              json);
}

}  // namespace dblocks::report
