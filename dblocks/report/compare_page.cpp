// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/compare_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "dblocks/report/page_shell.h"

namespace dblocks::report {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json spread_json(const Spread& spread) {
  return {{"count", spread.count},
          {"mean", number(spread.mean)},
          {"deviation", number(spread.deviation)}};
}

Json run_json(const ComparedRun& run) {
  return {{"run", run.folder},
          {"name", run.name},
          {"method", run.method},
          {"seed", run.seed},
          {"num_blocks", run.num_blocks},
          {"steps", run.steps},
          {"steps_asked", run.steps_asked},
          {"accuracy", number(run.accuracy)},
          {"cross_entropy", number(run.cross_entropy)},
          {"calibration_error", number(run.calibration_error)},
          {"step_peak_bytes", number(run.step_peak_bytes)},
          {"training_peak_bytes", number(run.training_peak_bytes)},
          {"training_seconds", number(run.seconds)},
          {"missing", run.missing}};
}

Json group_json(const RunGroup& group) {
  return {{"name", group.name},
          {"runs", group.runs},
          {"accuracy", spread_json(group.accuracy)},
          {"cross_entropy", spread_json(group.cross_entropy)},
          {"calibration_error", spread_json(group.calibration_error)},
          {"step_peak_bytes", spread_json(group.step_peak_bytes)},
          {"training_peak_bytes", spread_json(group.training_peak_bytes)},
          {"training_seconds", spread_json(group.seconds)},
          {"steps", spread_json(group.steps)}};
}

/// The spread of one figure over the runs of a group.
template <class Figure>
Spread spread_over(const std::vector<ComparedRun>& runs,
                   const RunGroup& group,
                   Figure figure) {
  std::vector<double> values;
  for (const size_t index : group.runs) {
    values.push_back(static_cast<double>(runs[index].*figure));
  }
  return spread_of(values);
}

}  // namespace

Spread spread_of(const std::vector<double>& values) {
  Spread spread;
  double sum = 0;
  for (const double value : values) {
    if (std::isfinite(value)) {
      sum += value;
      ++spread.count;
    }
  }
  if (spread.count == 0) {
    return spread;
  }
  spread.mean = sum / static_cast<double>(spread.count);
  if (spread.count == 1) {
    return spread;
  }
  double squares = 0;
  for (const double value : values) {
    if (std::isfinite(value)) {
      squares += (value - spread.mean) * (value - spread.mean);
    }
  }
  spread.deviation = std::sqrt(squares / static_cast<double>(spread.count - 1));
  return spread;
}

std::vector<RunGroup> grouped(const std::vector<ComparedRun>& runs) {
  std::vector<RunGroup> groups;
  for (size_t i = 0; i < runs.size(); ++i) {
    const auto found = std::ranges::find_if(groups, [&](const RunGroup& group) {
      return runs[group.runs.front()].group == runs[i].group;
    });
    if (found != groups.end()) {
      found->runs.push_back(i);
    } else {
      const std::string& name =
          runs[i].name.empty() ? runs[i].folder : runs[i].name;
      groups.push_back({.name = name, .runs = {i}});
    }
  }
  for (RunGroup& group : groups) {
    const auto over = [&](auto figure) {
      return spread_over(runs, group, figure);
    };
    group.accuracy = over(&ComparedRun::accuracy);
    group.cross_entropy = over(&ComparedRun::cross_entropy);
    group.calibration_error = over(&ComparedRun::calibration_error);
    group.step_peak_bytes = over(&ComparedRun::step_peak_bytes);
    group.training_peak_bytes = over(&ComparedRun::training_peak_bytes);
    group.seconds = over(&ComparedRun::seconds);
    group.steps = over(&ComparedRun::steps);
  }
  return groups;
}

Json comparison_json(const std::vector<ComparedRun>& runs) {
  Json json{{"runs", Json::array()}, {"groups", Json::array()}};
  for (const ComparedRun& run : runs) {
    json["runs"].push_back(run_json(run));
  }
  for (const RunGroup& group : grouped(runs)) {
    json["groups"].push_back(group_json(group));
  }
  return json;
}

std::string compare_page_html(const std::vector<ComparedRun>& runs) {
  return internal::page_shell(fmt::format("{} runs - dblocks", runs.size()),
                              internal::kComparePageScript,
                              comparison_json(runs));
}

}  // namespace dblocks::report
