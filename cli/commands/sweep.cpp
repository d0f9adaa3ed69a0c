// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <future>
#include <iterator>
#include <memory>
#include <mutex>
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
#include "dblocks/report/sweep_page.h"

namespace dblocks::cli {
namespace {

namespace fs = std::filesystem;

struct SweepArguments {
  std::string table;
  std::string out;
  int64_t jobs = 1;
};

/// A figure of an evaluation.
using Figure = std::pair<std::string, double>;

/// A run of the table and what became of it.
struct TableRun {
  size_t variant = 0;
  int64_t seed = 0;
  fs::path folder;
  fs::path output;  ///< what it prints goes here, or nowhere else if empty
  std::vector<Figure> figures;
};

/// What a child is started with: its output goes to the end of a file.
class OutputTo {
 public:
  explicit OutputTo(const fs::path& file) {
    posix_spawn_file_actions_init(&actions_);
    if (!file.empty()) {
      posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, file.c_str(),
                                       O_WRONLY | O_CREAT | O_APPEND, 0644);
      posix_spawn_file_actions_adddup2(&actions_, STDOUT_FILENO, STDERR_FILENO);
    }
  }
  ~OutputTo() { posix_spawn_file_actions_destroy(&actions_); }
  OutputTo(const OutputTo&) = delete;
  OutputTo& operator=(const OutputTo&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

/// Runs this program with other arguments, in a process of its own so that runs
/// share nothing, and waits for it.
ExitCode run_self(const std::vector<std::string>& arguments,
                  const fs::path& output) {
  std::vector<char*> words = {const_cast<char*>("dblocks")};
  for (const std::string& argument : arguments) {
    words.push_back(const_cast<char*>(argument.c_str()));
  }
  words.push_back(nullptr);
  pid_t child = 0;
  const OutputTo to(output);
  const int error = posix_spawn(&child, "/proc/self/exe", to.actions(), nullptr,
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
    figures = {{"frechet_distance", score.frechet_distance}};
    if (score.precision && score.recall) {
      figures.insert(figures.end(), {{"precision", *score.precision},
                                     {"recall", *score.recall}});
    }
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
                  TableRun& run) {
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
  add_overrides(train, table.variants[run.variant].overrides);
  std::vector<std::string> eval = {"eval", run.folder.string()};
  add_overrides(eval, table.evaluation);
  for (std::vector<std::string>* words : {&train, &eval}) {
    for (const std::string& word : common_words(flags)) {
      words->push_back(word);
    }
    const ExitCode code = run_self(*words, run.output);
    if (code != ExitCode::kDone) {
      return code;
    }
  }
  run.figures = figures_of(run.folder);
  return ExitCode::kDone;
}

/// The figures of a run under the names that all runs have them by.
report::SweepRun row_of(const TableRun& run,
                        const std::vector<std::string>& names) {
  report::SweepRun row{.run = run.folder.filename().string(), .seed = run.seed};
  for (const std::string& name : names) {
    const auto found = std::ranges::find(run.figures, name, &Figure::first);
    row.figures.push_back(found == run.figures.end() ? NAN : found->second);
  }
  return row;
}

std::vector<TableRun> runs_of(const config::SweepTable& table,
                              const SweepArguments& arguments) {
  std::vector<TableRun> runs;
  for (size_t i = 0; i < table.variants.size(); ++i) {
    for (const int64_t seed : table.seeds) {
      const std::string name =
          fmt::format("{}_seed_{}", table.variants[i].name, seed);
      const fs::path out = arguments.out;
      runs.push_back(
          {.variant = i,
           .seed = seed,
           .folder = out / name,
           .output = arguments.jobs > 1 ? out / (name + ".log") : fs::path()});
    }
  }
  return runs;
}

/// What the runs so far have found, in the order of the table.
report::SweepResults results_of(const config::SweepTable& table,
                                const std::vector<TableRun>& runs) {
  report::SweepResults results{.recipe = table.recipe.stem().string()};
  size_t variant = SIZE_MAX;
  for (const TableRun& run : runs) {
    if (run.figures.empty()) {
      continue;
    }
    if (results.figures.empty()) {
      for (const Figure& figure : run.figures) {
        results.figures.push_back(figure.first);
      }
    }
    if (std::exchange(variant, run.variant) != run.variant) {
      results.variants.push_back({.name = table.variants[run.variant].name});
    }
    results.variants.back().runs.push_back(row_of(run, results.figures));
  }
  return results;
}

void write_results(const fs::path& out, const report::SweepResults& results) {
  replace_file(out / "table.csv", report::sweep_csv(results));
  replace_file(out / "table.md", report::sweep_markdown(results));
  replace_file(out / "table.html", report::sweep_page_html(results));
}

/// Works off the runs of a table, several at a time. After one that fails no
/// other is started.
class Sweep {
 public:
  Sweep(const CommonFlags& flags,
        const config::SweepTable& table,
        const SweepArguments& arguments)
      : flags_(flags),
        table_(table),
        out_(arguments.out),
        runs_(runs_of(table, arguments)) {}

  ExitCode work(int64_t jobs) {
    std::vector<std::future<void>> workers;
    for (int64_t i = 0; i < std::min(jobs, std::ssize(runs_)); ++i) {
      workers.push_back(
          std::async(std::launch::async, [this] { work_off_some(); }));
    }
    for (std::future<void>& worker : workers) {
      worker.get();
    }
    return code_;
  }

  report::SweepResults results() const { return results_of(table_, runs_); }

 private:
  void work_off_some() {
    std::unique_lock lock(mutex_);
    while (next_ < runs_.size() && code_ == ExitCode::kDone) {
      TableRun run = runs_[next_];
      const size_t index = next_++;
      lock.unlock();
      const ExitCode code = work_off(flags_, table_, run);
      lock.lock();
      if (code == ExitCode::kDone) {
        runs_[index] = std::move(run);
        write_results(out_, results());
        continue;
      }
      code_ = code;
      print_line(fmt::format(
          "{}: ended with code {}; the same command goes on from "
          "here{}",
          run.folder.string(), static_cast<int>(code),
          run.output.empty() ? ""
                             : ", what it said is in " + run.output.string()));
    }
  }

  const CommonFlags& flags_;
  const config::SweepTable& table_;
  fs::path out_;

  std::mutex mutex_;  // guards what follows, and the files of results
  std::vector<TableRun> runs_;
  size_t next_ = 0;
  ExitCode code_ = ExitCode::kDone;
};

ExitCode sweep(const CommonFlags& flags, const SweepArguments& arguments) {
  const config::SweepTable table = config::load_sweep_table(arguments.table);
  const fs::path out = arguments.out;
  real_file_system().make_folders(out);
  Sweep sweep(flags, table, arguments);
  const ExitCode code = sweep.work(arguments.jobs);
  if (code == ExitCode::kDone) {
    const std::string markdown = report::sweep_markdown(sweep.results());
    print_line(markdown.substr(0, markdown.size() - 1));
    print_line((out / "table.html").string());
  }
  return code;
}

}  // namespace

void add_sweep(CLI::App& app, CommonFlags& flags, Action& action) {
  auto arguments = std::make_shared<SweepArguments>();
  CLI::App* verb = app.add_subcommand(
      "sweep", "Train and evaluate a table of runs that differ in a few keys");
  verb->add_option("table", arguments->table, "Table, a TOML file")->required();
  verb->add_option(
          "--out", arguments->out,
          "Folder of the runs and of table.csv, table.md and table.html")
      ->required();
  verb->add_option("--jobs", arguments->jobs,
                   "Runs at a time; more than 1 print to FOLDER/RUN.log")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  add_common_flags(*verb, flags);
  verb->callback([arguments, &flags, &action] {
    action = [arguments, &flags] { return sweep(flags, *arguments); };
  });
}

}  // namespace dblocks::cli
