// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/run_record.h"
#include "dblocks/config/fingerprint.h"
#include "dblocks/core/log.h"
#include "dblocks/report/compare_page.h"

namespace dblocks::cli {
namespace {

using report::ComparedRun;
using report::RunGroup;
using report::Spread;
using Row = std::vector<std::string>;

std::string what_is_missing(const report::RunPage& page) {
  const std::string folder = shell_word(page.folder);
  if (!page.evaluation) {
    return fmt::format("{} is not evaluated: dblocks eval {}", page.folder,
                       folder);
  }
  if (page.is_evaluation_old()) {
    return fmt::format("{} was trained on since: dblocks eval {}", page.folder,
                       folder);
  }
  if (!page.memory) {
    return fmt::format("{} has no memory of a step measured: dblocks memory {}",
                       page.folder, folder);
  }
  return {};
}

ComparedRun compared(const std::string& folder) {
  RunRecord record = read_run(folder);
  const report::RunPage& page = record.page;
  for (const std::string& problem : page.problems) {
    log().warn("{}", problem);
  }
  ComparedRun run{.folder = folder,
                  .name = page.name,
                  .method = page.method,
                  .seed = page.seed,
                  .num_blocks = static_cast<int64_t>(page.blocks.size()),
                  .missing = what_is_missing(page)};
  for (size_t block = 0; block < page.blocks.size(); ++block) {
    run.steps += page.steps_done(block);
  }
  run.steps_asked = page.steps * run.num_blocks;
  if (page.evaluation) {
    const report::Score& score = page.evaluation->quoted().answer();
    run.accuracy = score.accuracy;
    run.cross_entropy = score.cross_entropy;
    run.calibration_error = score.calibration_error;
  }
  if (page.memory) {
    run.step_peak_bytes = static_cast<double>(page.memory->peak_bytes);
  }
  if (page.logged_peak_bytes() > 0) {
    run.training_peak_bytes = static_cast<double>(page.logged_peak_bytes());
  }
  if (page.training_seconds() > 0) {
    run.seconds = page.training_seconds();
  }
  // The seed is in the fingerprint too, and is what runs of a group differ in.
  record.config.seed = 0;
  run.group = config::fingerprint(record.config);
  return run;
}

/// A figure, or a dash; with its deviation where there is one.
template <class Format>
std::string cell(const Spread& spread, const Format& format) {
  if (spread.count == 0) {
    return "-";
  }
  return spread.count == 1 ? format(spread.mean)
                           : fmt::format("{} +- {}", format(spread.mean),
                                         format(spread.deviation));
}

std::string format_seconds(double seconds) {
  const auto total = static_cast<int64_t>(std::llround(seconds));
  return total >= 3600 ? fmt::format("{}:{:02}:{:02}", total / 3600,
                                     total / 60 % 60, total % 60)
                       : fmt::format("{}:{:02}", total / 60, total % 60);
}

std::string format_size(double bytes) {
  return format_bytes(static_cast<int64_t>(bytes));
}

std::string format_plain(double value) {
  return fmt::format("{:.4f}", value);
}

std::string format_count(double value) {
  return fmt::format("{:.0f}", value);
}

/// The cells of figures, in the order of the heading.
Row figures(const RunGroup& group) {
  return {cell(group.accuracy, format_percent),
          cell(group.cross_entropy, format_plain),
          cell(group.calibration_error, format_plain),
          cell(group.step_peak_bytes, format_size),
          cell(group.training_peak_bytes, format_size),
          cell(group.seconds, format_seconds),
          cell(group.steps, format_count)};
}

void print_aligned(const std::vector<Row>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  for (const Row& row : rows) {
    // Names to the left, figures to the right.
    std::string line =
        fmt::format("{:<{}}  {:<{}}", row[0], widths[0], row[1], widths[1]);
    for (size_t i = 2; i < row.size(); ++i) {
      line += fmt::format("  {:>{}}", row[i], widths[i]);
    }
    print_line(line);
  }
}

void print_table(const std::vector<ComparedRun>& runs) {
  std::vector<Row> rows{{"run", "method", "seed", "accuracy", "cross-ent.",
                         "calib.err.", "step peak", "train peak", "time",
                         "steps"}};
  const auto add = [&](Row names, const RunGroup& group) {
    const Row more = figures(group);
    names.insert(names.end(), more.begin(), more.end());
    rows.push_back(std::move(names));
  };
  for (const ComparedRun& run : runs) {
    add({run.folder, run.method, std::to_string(run.seed)},
        report::grouped({run}).front());
  }
  for (const RunGroup& group : report::grouped(runs)) {
    if (group.runs.size() > 1) {
      add({fmt::format("mean of {} x {}", group.runs.size(), group.name),
           runs[group.runs.front()].method, ""},
          group);
    }
  }
  print_aligned(rows);
  for (const ComparedRun& run : runs) {
    if (!run.missing.empty()) {
      print_line(run.missing);
    }
  }
}

ExitCode compare_runs(const CommonFlags& flags,
                      const std::vector<std::string>& folders,
                      const std::string& out) {
  std::vector<ComparedRun> runs;
  runs.reserve(folders.size());
  for (const std::string& folder : folders) {
    runs.push_back(compared(folder));
  }
  if (flags.json) {
    print_line(report::comparison_json(runs).dump(
        2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  } else {
    print_table(runs);
  }
  if (!out.empty()) {
    replace_file(out, report::compare_page_html(runs));
    if (!flags.json) {
      print_line(fmt::format("page: {}", out));
    }
  }
  return ExitCode::kDone;
}

}  // namespace

void add_compare(CLI::App& app, CommonFlags& flags, Action& action) {
  struct Arguments {
    std::vector<std::string> runs;
    std::string out;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "compare", "Show runs side by side, seeds of one recipe together");
  verb->add_option("runs", arguments->runs, "Folders of the runs")->required();
  verb->add_option("--out", arguments->out, "Also write a page, an HTML file");
  add_verbose_flag(*verb, flags);
  add_json_flag(*verb, flags);
  verb->callback([arguments, &flags, &action] {
    action = [arguments, &flags] {
      return compare_runs(flags, arguments->runs, arguments->out);
    };
  });
}

}  // namespace dblocks::cli
