// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/run_record.h"
#include "dblocks/config/sweep_table.h"
#include "dblocks/core/file_system.h"
#include "dblocks/report/evaluation.h"
#include "dblocks/report/image_evaluation.h"

extern char** environ;

namespace dblocks::cli {
namespace {

namespace fs = std::filesystem;

struct SweepArguments {
  std::string table;
  std::string out;
};

/// A figure of an evaluation.
using Figure = std::pair<std::string, double>;

struct SweepRun {
  std::string variant;
  int64_t seed = 0;
  fs::path folder;
  std::vector<Figure> figures;
};

/// Runs this program with other arguments, in a process of its own so that runs
/// share nothing, and waits for it.
ExitCode run_self(const std::vector<std::string>& arguments) {
  std::vector<char*> words = {const_cast<char*>("dblocks")};
  for (const std::string& argument : arguments) {
    words.push_back(const_cast<char*>(argument.c_str()));
  }
  words.push_back(nullptr);
  pid_t child = 0;
  const int error = posix_spawn(&child, "/proc/self/exe", nullptr, nullptr,
                                words.data(), environ);
  DBLOCKS_CHECK(error == 0, DeviceError,
                "[sweep] cannot start a run: {}. Hint: free some memory",
                std::generic_category().message(error));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? static_cast<ExitCode>(WEXITSTATUS(status))
                           : ExitCode::kInternal;
}

std::vector<std::string> common_words(const CommonFlags& flags) {
  return {"--device", flags.device, "--threads", std::to_string(flags.threads)};
}

void add_overrides(std::vector<std::string>& words,
                   const std::vector<std::string>& overrides) {
  for (const std::string& item : overrides) {
    words.insert(words.end(), {"--set", item});
  }
}

/// What the run's evaluation found; nothing before it is evaluated.
std::vector<Figure> figures_of(const fs::path& run) {
  std::vector<Figure> figures;
  if (const auto images =
          report::read_image_evaluation(run / kImageEvaluationName)) {
    const report::ImageScore& score = images->scores.front();
    figures = {{"frechet_distance", score.frechet_distance},
               {"precision", score.precision},
               {"recall", score.recall}};
    if (images->asked_class_share) {
      figures.emplace_back("asked_class_share", *images->asked_class_share);
    }
  } else if (const auto classes =
                 report::read_evaluation(run / kEvaluationName)) {
    const report::Score& score = classes->quoted().answer();
    figures = {{"accuracy", score.accuracy},
               {"cross_entropy", score.cross_entropy},
               {"calibration_error", score.calibration_error}};
  }
  return figures;
}

/// Trains and evaluates one run, or finds that both are done.
ExitCode work_off(const CommonFlags& flags,
                  const config::SweepTable& table,
                  const config::SweepVariant& variant,
                  SweepRun& run) {
  run.figures = figures_of(run.folder);
  if (!run.figures.empty()) {
    print_line(fmt::format("{}: done", run.folder.string()));
    return ExitCode::kDone;
  }
  print_line(fmt::format("{}: training", run.folder.string()));
  std::vector<std::string> train = {"train",  table.recipe.string(),
                                    "--out",  run.folder.string(),
                                    "--seed", std::to_string(run.seed)};
  add_overrides(train, table.overrides);
  add_overrides(train, variant.overrides);
  std::vector<std::string> eval = {"eval", run.folder.string()};
  add_overrides(eval, table.evaluation);
  for (std::vector<std::string>* words : {&train, &eval}) {
    for (const std::string& word : common_words(flags)) {
      words->push_back(word);
    }
    const ExitCode code = run_self(*words);
    if (code != ExitCode::kDone) {
      return code;
    }
  }
  run.figures = figures_of(run.folder);
  return ExitCode::kDone;
}

std::string csv_of(const std::vector<SweepRun>& runs) {
  std::string text = "variant,seed,run";
  for (const Figure& figure : runs.front().figures) {
    text += "," + figure.first;
  }
  for (const SweepRun& run : runs) {
    text += fmt::format("\n{},{},{}", run.variant, run.seed,
                        run.folder.filename().string());
    for (const Figure& figure : run.figures) {
      text += fmt::format(",{}", figure.second);
    }
  }
  return text + "\n";
}

/// Mean and, of several seeds, standard deviation (n - 1) of one figure.
std::string spread_of(const std::vector<double>& values) {
  double mean = 0, square = 0;
  const auto n = static_cast<double>(values.size());
  for (const double value : values) {
    mean += value / n;
  }
  for (const double value : values) {
    square += (value - mean) * (value - mean);
  }
  return values.size() < 2 ? fmt::format("{:.4f}", mean)
                           : fmt::format("{:.4f} +- {:.4f}", mean,
                                         std::sqrt(square / (n - 1)));
}

std::string markdown_of(const config::SweepTable& table,
                        const std::vector<SweepRun>& runs) {
  std::string text = "| variant | seeds |", line = "\n| --- | --- |";
  for (const Figure& figure : runs.front().figures) {
    text += fmt::format(" {} |", figure.first);
    line += " --- |";
  }
  text += line;
  for (const config::SweepVariant& variant : table.variants) {
    std::vector<std::vector<double>> columns(runs.front().figures.size());
    for (const SweepRun& run : runs) {
      for (size_t i = 0; run.variant == variant.name && i < columns.size();
           ++i) {
        columns[i].push_back(i < run.figures.size() ? run.figures[i].second
                                                    : NAN);
      }
    }
    text += fmt::format("\n| {} | {} |", variant.name, table.seeds.size());
    for (const std::vector<double>& column : columns) {
      text += fmt::format(" {} |", spread_of(column));
    }
  }
  return text + "\n";
}

ExitCode sweep(const CommonFlags& flags, const SweepArguments& arguments) {
  const config::SweepTable table = config::load_sweep_table(arguments.table);
  const fs::path out = arguments.out;
  real_file_system().make_folders(out);
  std::vector<SweepRun> runs;
  for (const config::SweepVariant& variant : table.variants) {
    for (const int64_t seed : table.seeds) {
      runs.push_back(
          {.variant = variant.name,
           .seed = seed,
           .folder = out / fmt::format("{}_seed_{}", variant.name, seed)});
      const ExitCode code = work_off(flags, table, variant, runs.back());
      if (code != ExitCode::kDone) {
        print_line(
            fmt::format("{}: ended with code {}; the same command goes "
                        "on from here",
                        runs.back().folder.string(), static_cast<int>(code)));
        return code;
      }
    }
  }
  const std::string markdown = markdown_of(table, runs);
  replace_file(out / "table.csv", csv_of(runs));
  replace_file(out / "table.md", markdown);
  print_line(markdown.substr(0, markdown.size() - 1));
  return ExitCode::kDone;
}

}  // namespace

void add_sweep(CLI::App& app, CommonFlags& flags, Action& action) {
  auto arguments = std::make_shared<SweepArguments>();
  CLI::App* verb = app.add_subcommand(
      "sweep", "Train and evaluate a table of runs that differ in a few keys");
  verb->add_option("table", arguments->table, "Table, a TOML file")->required();
  verb->add_option("--out", arguments->out,
                   "Folder of the runs, of table.csv and of table.md")
      ->required();
  add_common_flags(*verb, flags);
  verb->callback([arguments, &flags, &action] {
    action = [arguments, &flags] { return sweep(flags, *arguments); };
  });
}

}  // namespace dblocks::cli
