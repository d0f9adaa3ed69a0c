// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/environment.h"
#include "cli/image_evaluation.h"
#include "cli/output.h"
#include "cli/run_context.h"
#include "cli/run_data.h"
#include "cli/run_record.h"
#include "cli/samples.h"
#include "dblocks/core/log.h"
#include "dblocks/tasks/readouts.h"
#include "dblocks/train/device_batch.h"
#include "dblocks/train/run_reader.h"

namespace dblocks::cli {
namespace {

using metrics::ClassificationMetrics;

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

report::Score score_of(const ClassificationMetrics& m) {
  report::Score score{.accuracy = m.accuracy,
                      .cross_entropy = m.cross_entropy,
                      .calibration_error = m.calibration_error};
  for (const metrics::ReliabilityBin& bin : m.bins) {
    score.reliability.push_back(
        {bin.num_samples, bin.num_hits, bin.sum_confidence});
  }
  return score;
}

report::ReadoutScore readout_of(const tasks::ReadoutResult& r) {
  report::ReadoutScore readout{.name = r.name,
                               .answers_pooled = r.answers_pooled,
                               .pooled = score_of(r.pooled)};
  for (const ClassificationMetrics& m : r.after_block) {
    readout.after_block.push_back(score_of(m));
  }
  return readout;
}

report::Evaluation evaluation_of(
    const std::string& run,
    const RunContext& context,
    const train::RunReader& reader,
    const std::vector<tasks::ReadoutResult>& results) {
  report::Evaluation evaluation{
      .run = run,
      .method = std::string(enum_name(context.setup.task.method)),
      .dataset = context.data.test.info().name,
      .num_images = context.data.test.size(),
      .steps = reader.checkpoints().steps(),
      .draws = context.setup.readout.draws,
      .headline = headline(results).name};
  for (const tasks::ReadoutResult& r : results) {
    evaluation.readouts.push_back(readout_of(r));
  }
  return evaluation;
}

/// Keeps the evaluation in the run for its report. The figures are printed by
/// now, so a run that cannot be written is worth no more than a warning.
void keep(const std::string& run, const report::Evaluation& evaluation) {
  try {
    replace_file(std::filesystem::path(run) / kEvaluationName,
                 report::to_json(evaluation, report::Detail::kAll)
                     .dump(-1, ' ', false,
                           nlohmann::ordered_json::error_handler_t::replace));
  } catch (const Error& error) {
    log().warn("[eval] the evaluation is not kept in the run: {}",
               error.what());
  }
}

ExitCode eval_run(const CommonFlags& flags,
                  const ImageEvaluationRequest& asked,
                  const std::vector<std::string>& overrides) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  prepare_process(flags);
  const at::Device device = open_device(flags);
  const std::string& run = asked.run;
  const RunContext context = open_run(run, overrides, device);
  if (context.setup.task.kind == tasks::TaskKind::kImageGeneration) {
    return evaluate_images(flags, asked, context, device);
  }
  DBLOCKS_CHECK(asked.against.empty() && asked.samples.empty(), ConfigError,
                "[eval] expected {} with a run that generates images, found "
                "task = {}. Hint: dblocks compare",
                asked.against.empty() ? "--samples" : "--against",
                enum_name(context.setup.task.kind));
  const train::RunReader reader(context.setup, train::RunFolder(run));
  const tasks::LabelledSet set = train::labelled_set(context.data.test, device);
  const std::vector<tasks::ReadoutResult> results = tasks::evaluate(
      tasks::ClassificationTask(context.setup.task),
      [&](int64_t unit) { return reader.load_unit(unit, device); }, set,
      context.setup.readout);
  const tasks::ReadoutResult& best = headline(results);
  report::Evaluation evaluation = evaluation_of(run, context, reader, results);
  evaluation.settings = overrides;
  evaluation.seconds =
      std::chrono::duration<double>(Clock::now() - start).count();
  evaluation.environment = environment_facts();
  evaluation.samples = pick_samples(context.data.test, best);
  if (flags.json) {
    print_line(report::to_json(evaluation, report::Detail::kScores).dump(2));
  } else {
    print_table(results);
    print_line(fmt::format("test accuracy {} on {} images ({}, {})",
                           format_percent(best.answer().accuracy), set.size(),
                           best.name,
                           best.answers_pooled ? "pooled" : "last block"));
    print_bad_samples(context.data.test, "test");
  }
  keep(run, evaluation);
  return ExitCode::kDone;
}

}  // namespace

void add_eval(CLI::App& app, CommonFlags& flags, Action& action) {
  struct Arguments {
    ImageEvaluationRequest asked;
    std::vector<std::string> overrides;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "eval",
      "Measure a run: a classifier on the test set with every readout, "
      "generated images against real ones");
  verb->add_option("run", arguments->asked.run, "Folder of the run")
      ->required();
  verb->add_option("--against", arguments->asked.against,
                   "Folder of another run that generates such images, for "
                   "instance the end-to-end one: its loss at each level of "
                   "noise, beside this run's");
  verb->add_option("--samples", arguments->asked.samples,
                   "File of images made elsewhere, to measure instead of the "
                   "run's, as sample writes them: NumPy arrays, arr_0 and for "
                   "classes arr_1, or tensors, images and labels");
  add_set_flag(*verb, arguments->overrides,
               "Override a key that does not change weights: a.b=c");
  add_common_flags(*verb, flags);
  add_json_flag(*verb, flags);
  verb->callback([arguments, &flags, &action] {
    action = [arguments, &flags] {
      return eval_run(flags, arguments->asked, arguments->overrides);
    };
  });
}

}  // namespace dblocks::cli
