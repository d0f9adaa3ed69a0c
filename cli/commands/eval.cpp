// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/run_context.h"
#include "dblocks/tasks/readouts.h"
#include "dblocks/train/device_batch.h"
#include "dblocks/train/run_reader.h"

namespace dblocks::cli {
namespace {

using Json = nlohmann::ordered_json;
using metrics::ClassificationMetrics;

Json metrics_json(const ClassificationMetrics& m) {
  return {{"accuracy", m.accuracy},
          {"cross_entropy", m.cross_entropy},
          {"calibration_error", m.calibration_error}};
}

Json readout_json(const tasks::ReadoutResult& r) {
  Json json = metrics_json(r.answer());
  json["answer"] = r.answers_pooled ? "pooled" : "last_block";
  json["pooled"] = metrics_json(r.pooled);
  json["after_block"] = Json::array();
  for (const ClassificationMetrics& m : r.after_block) {
    json["after_block"].push_back(metrics_json(m));
  }
  return json;
}

/// The readout that the program quotes: the pooled re-noised mean chain for
/// blocks, the only one for a baseline.
const tasks::ReadoutResult& headline(
    const std::vector<tasks::ReadoutResult>& results) {
  for (const tasks::ReadoutResult& r : results) {
    if (r.name == "renoised_chain") {
      return r;
    }
  }
  return results.front();
}

void print_table(const std::vector<tasks::ReadoutResult>& results) {
  print_line(fmt::format("{:<20} {:>10} {:>10} {:>10}  {}", "readout",
                         "accuracy", "cross-ent.", "calib.err.",
                         "accuracy after each block | pooled"));
  for (const tasks::ReadoutResult& r : results) {
    std::string blocks;
    for (const ClassificationMetrics& m : r.after_block) {
      blocks += fmt::format("{:.2f} ", m.accuracy * 100);
    }
    const ClassificationMetrics& m = r.answer();
    print_line(fmt::format("{:<20} {:>10} {:>10.4f} {:>10.4f}  {}| {:.2f}",
                           r.name, format_percent(m.accuracy), m.cross_entropy,
                           m.calibration_error, blocks,
                           r.pooled.accuracy * 100));
  }
}

ExitCode eval_run(const CommonFlags& flags,
                  const std::string& run,
                  const std::vector<std::string>& overrides) {
  prepare_process(flags);
  const at::Device device = open_device(flags);
  const RunContext context = open_run(run, overrides, device);
  const train::RunReader reader(context.setup, train::RunFolder(run));
  const std::vector<tasks::ReadoutResult> results = tasks::evaluate(
      reader.task(),
      [&](int64_t unit) { return reader.load_unit(unit, device); },
      train::labelled_set(context.data.test, device), context.setup.readout);
  const tasks::ReadoutResult& best = headline(results);
  if (flags.json) {
    Json json{{"run", run},
              {"method", enum_name(context.setup.task.method)},
              {"dataset", context.data.test.info().name},
              {"num_images", context.data.test.size()},
              {"steps", reader.checkpoints().steps()},
              {"draws", context.setup.readout.draws},
              {"headline", best.name},
              {"readouts", Json::object()}};
    for (const tasks::ReadoutResult& r : results) {
      json["readouts"][r.name] = readout_json(r);
    }
    print_line(json.dump(2));
    return ExitCode::kDone;
  }
  print_table(results);
  print_line(fmt::format("test accuracy {} on {} images ({}, {})",
                         format_percent(best.answer().accuracy),
                         context.data.test.size(), best.name,
                         best.answers_pooled ? "pooled" : "last block"));
  return ExitCode::kDone;
}

}  // namespace

void add_eval(CLI::App& app, CommonFlags& flags, Action& action) {
  struct Arguments {
    std::string run;
    std::vector<std::string> overrides;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "eval", "Measure a run on the test set with every readout");
  verb->add_option("run", arguments->run, "Folder of the run")->required();
  add_set_flag(*verb, arguments->overrides,
               "Override a key that does not change weights: a.b=c");
  add_common_flags(*verb, flags);
  add_json_flag(*verb, flags);
  verb->callback([arguments, &flags, &action] {
    action = [arguments, &flags] {
      return eval_run(flags, arguments->run, arguments->overrides);
    };
  });
}

}  // namespace dblocks::cli
