// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/image_history.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "dblocks/core/error.h"
#include "dblocks/core/file_system.h"

namespace dblocks::report {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kMaxFileBytes = uint64_t{16} << 20;
constexpr size_t kMaxPoints = 10'000;

HistoryPoint point_of(const Json& json) {
  HistoryPoint point{
      .steps = json.at("steps").get<int64_t>(),
      .name = json.at("name").get<std::string>(),
      .frechet_distance = json.at("frechet_distance").get<double>()};
  if (!std::isfinite(point.frechet_distance) || point.steps < 0) {
    throw std::invalid_argument("expected finite numbers");
  }
  return point;
}

}  // namespace

ImageHistory read_image_history(const std::filesystem::path& file) {
  FileSystem& disk = real_file_system();
  if (!disk.exists(file)) {
    return {};
  }
  try {
    const Json json = Json::parse(disk.read_file(file, kMaxFileBytes));
    ImageHistory history;
    for (const Json& point : json.at("points")) {
      history.push_back(point_of(point));
    }
    std::ranges::stable_sort(history, {}, &HistoryPoint::steps);
    return history;
  } catch (const Json::exception& error) {
    throw CheckpointError(fmt::format(
        "[image_history] {}: expected distances over steps, found: {}. Hint: "
        "remove it",
        file.string(), error.what()));
  } catch (const std::invalid_argument& error) {
    throw CheckpointError(fmt::format("[image_history] {}: {}. Hint: remove it",
                                      file.string(), error.what()));
  }
}

void add_evaluation(const ImageEvaluation& evaluation, ImageHistory& history) {
  if (evaluation.steps.empty()) {
    return;
  }
  const int64_t steps = *std::ranges::min_element(evaluation.steps);
  for (const ImageScore& score : evaluation.scores) {
    std::erase_if(history, [&](const HistoryPoint& point) {
      return point.steps == steps && point.name == score.name;
    });
    history.push_back({steps, score.name, score.frechet_distance});
  }
  std::ranges::stable_sort(history, {}, &HistoryPoint::steps);
  if (history.size() > kMaxPoints) {
    history.erase(history.begin(),
                  history.end() - static_cast<std::ptrdiff_t>(kMaxPoints));
  }
}

std::string image_history_json(const ImageHistory& history) {
  Json json{{"points", Json::array()}};
  for (const HistoryPoint& point : history) {
    json["points"].push_back({{"steps", point.steps},
                              {"name", point.name},
                              {"frechet_distance", point.frechet_distance}});
  }
  return json.dump(1) + "\n";
}

}  // namespace dblocks::report
