// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/sweep_page.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "dblocks/report/page_shell.h"

namespace dblocks::report {
namespace {

using Json = nlohmann::ordered_json;

Json figure_json(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json variant_json(const SweptVariant& variant, size_t num_figures) {
  Json json{{"name", variant.name},
            {"runs", Json::array()},
            {"figures", Json::array()}};
  for (const SweepRun& run : variant.runs) {
    Json figures = Json::array();
    for (const double figure : run.figures) {
      figures.push_back(figure_json(figure));
    }
    json["runs"].push_back(
        {{"run", run.run}, {"seed", run.seed}, {"figures", figures}});
  }
  for (size_t i = 0; i < num_figures; ++i) {
    const Spread spread = variant.spread(i);
    json["figures"].push_back({{"count", spread.count},
                               {"mean", figure_json(spread.mean)},
                               {"deviation", figure_json(spread.deviation)}});
  }
  return json;
}

std::string spread_text(const Spread& spread) {
  if (spread.count == 0) {
    return "-";
  }
  return spread.count < 2
             ? fmt::format("{:.4f}", spread.mean)
             : fmt::format("{:.4f} +- {:.4f}", spread.mean, spread.deviation);
}

}  // namespace

Spread SweptVariant::spread(size_t figure) const {
  std::vector<double> values;
  for (const SweepRun& run : runs) {
    values.push_back(figure < run.figures.size() ? run.figures[figure] : NAN);
  }
  return spread_of(values);
}

std::string sweep_csv(const SweepResults& results) {
  std::string text = "variant,seed,run";
  for (const std::string& figure : results.figures) {
    text += "," + figure;
  }
  for (const SweptVariant& variant : results.variants) {
    for (const SweepRun& run : variant.runs) {
      text += fmt::format("\n{},{},{}", variant.name, run.seed, run.run);
      for (const double figure : run.figures) {
        text += std::isfinite(figure) ? fmt::format(",{}", figure) : ",";
      }
    }
  }
  return text + "\n";
}

std::string sweep_markdown(const SweepResults& results) {
  std::string text = "| variant | seeds |", line = "\n| --- | --- |";
  for (const std::string& figure : results.figures) {
    text += fmt::format(" {} |", figure);
    line += " --- |";
  }
  text += line;
  for (const SweptVariant& variant : results.variants) {
    text += fmt::format("\n| {} | {} |", variant.name, variant.runs.size());
    for (size_t i = 0; i < results.figures.size(); ++i) {
      text += fmt::format(" {} |", spread_text(variant.spread(i)));
    }
  }
  return text + "\n";
}

std::string sweep_page_html(const SweepResults& results) {
  Json json{{"recipe", results.recipe},
            {"figures", results.figures},
            {"variants", Json::array()}};
  for (const SweptVariant& variant : results.variants) {
    json["variants"].push_back(variant_json(variant, results.figures.size()));
  }
  return internal::page_shell(
      fmt::format("{}, a table of runs - dblocks", results.recipe),
      internal::kSweepPageScript, json);
}

}  // namespace dblocks::report
