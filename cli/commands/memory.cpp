// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/run_context.h"
#include "cli/run_record.h"
#include "dblocks/train/memory_probe.h"

namespace dblocks::cli {
namespace {

using Json = nlohmann::ordered_json;

int64_t peak_of(const std::vector<train::StepMemory>& units) {
  return std::max_element(units.begin(), units.end(),
                          [](const auto& a, const auto& b) {
                            return a.peak_bytes < b.peak_bytes;
                          })
      ->peak_bytes;
}

Json units_json(const std::vector<train::StepMemory>& units) {
  Json json = Json::array();
  for (const train::StepMemory& u : units) {
    json.push_back({{"block", u.unit},
                    {"num_layers", u.num_layers},
                    {"num_parameters", u.num_parameters},
                    {"state_bytes", u.state_bytes},
                    {"peak_bytes", u.peak_bytes}});
  }
  return json;
}

ExitCode measure_memory(const CommonFlags& flags,
                        const std::string& recipe,
                        const std::vector<std::string>& overrides) {
  prepare_process(flags);
  const bool is_run = std::filesystem::is_directory(recipe);
  const RunContext context = is_run ? open_run(recipe, overrides, at::kCPU)
                                    : open_recipe(recipe, overrides, at::kCPU);
  train::RunSetup whole = context.setup;
  whole.task.method = tasks::Method::kEndToEnd;
  const auto blocks =
      train::measure_step_memory(context.setup, context.data.train);
  const auto end_to_end = train::measure_step_memory(whole, context.data.train);
  const double ratio = static_cast<double>(peak_of(blocks)) /
                       static_cast<double>(peak_of(end_to_end));
  const Json json{{"batch_size", context.setup.loader.batch_size},
                  {"blocks", units_json(blocks)},
                  {"end_to_end", units_json(end_to_end)},
                  {"peak_bytes", peak_of(blocks)},
                  {"end_to_end_peak_bytes", peak_of(end_to_end)},
                  {"ratio", ratio}};
  if (is_run) {
    replace_file(std::filesystem::path(recipe) / kMemoryName, json.dump(2));
  }
  if (flags.json) {
    print_line(json.dump(2));
    return ExitCode::kDone;
  }
  for (const train::StepMemory& u : blocks) {
    print_line(
        fmt::format("block {}: {} layers, {} parameters, state {}, peak {}",
                    u.unit, u.num_layers, u.num_parameters,
                    format_bytes(u.state_bytes), format_bytes(u.peak_bytes)));
  }
  print_line(fmt::format(
      "peak memory of a block step {}, of an end-to-end step {} (ratio {:.3f}, "
      "batch {})",
      format_bytes(peak_of(blocks)), format_bytes(peak_of(end_to_end)), ratio,
      context.setup.loader.batch_size));
  return ExitCode::kDone;
}

}  // namespace

void add_memory(CLI::App& app, CommonFlags& flags, Action& action) {
  struct Arguments {
    std::string recipe;
    std::vector<std::string> overrides;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "memory", "Measure the memory of a step against end-to-end training");
  verb->add_option("recipe", arguments->recipe,
                   "Recipe, a TOML file, or the folder of a run, which then "
                   "keeps the result for its report")
      ->required();
  add_set_flag(*verb, arguments->overrides,
               "Override a key of the recipe: a.b=c");
  add_common_flags(*verb, flags);
  add_json_flag(*verb, flags);
  verb->callback([arguments, &flags, &action] {
    action = [arguments, &flags] {
      return measure_memory(flags, arguments->recipe, arguments->overrides);
    };
  });
}

}  // namespace dblocks::cli
