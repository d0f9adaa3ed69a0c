// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/run_context.h"
#include "cli/run_data.h"
#include "dblocks/config/fingerprint.h"
#include "dblocks/core/file_system.h"
#include "dblocks/train/run_reader.h"

namespace dblocks::cli {
namespace {

struct MergeArguments {
  std::vector<std::string> runs;
  std::string out;
};

constexpr uint64_t kMaxRecipeBytes = 1 << 20;

void check_same_recipe(const config::RunConfig& first,
                       const std::string& first_run,
                       const std::string& other_run) {
  const config::LoadedConfig other =
      config::load_recipe(train::RunFolder(other_run).resolved());
  for (const config::Difference& d : config::differences(first, other.config)) {
    throw CheckpointError(fmt::format(
        "[merge] expected runs of one recipe, found {} = {} in {} and {} in {}",
        d.key, d.first, first_run, d.second, other_run));
  }
}

ExitCode merge(const CommonFlags& flags, const MergeArguments& arguments) {
  prepare_process(flags);
  FileSystem& disk = real_file_system();
  const train::RunFolder out(arguments.out);
  DBLOCKS_CHECK(!disk.exists(out.root()), CheckpointError,
                "[merge] expected --out to be a new folder, found {}",
                arguments.out);
  const RunContext context = open_run(arguments.runs.front(), {}, at::kCPU);
  std::vector<train::RunFolder> from;
  for (const std::string& run : arguments.runs) {
    from.emplace_back(run);
    DBLOCKS_CHECK(disk.exists(from.back().resolved()), CheckpointError,
                  "[merge] {}: expected the folder of a run, found none", run);
    check_same_recipe(context.loaded.config, arguments.runs.front(), run);
  }
  // Built beside and renamed, so that a refused or killed merge leaves nothing.
  const train::RunFolder temporary(arguments.out + ".merging");
  disk.remove_all(temporary.root());
  try {
    train::merge_runs(context.setup, from, temporary);
    for (const auto& [source, target] :
         {std::pair(from.front().recipe(), temporary.recipe()),
          std::pair(from.front().resolved(), temporary.resolved())}) {
      disk.write_file(target, disk.read_file(source, kMaxRecipeBytes));
    }
    keep_data_info(temporary, context.data.train.info());
    disk.rename(temporary.root(), out.root());
  } catch (...) {
    disk.remove_all(temporary.root());
    throw;
  }
  print_line(fmt::format("merged {} runs into {}", from.size(), arguments.out));
  return ExitCode::kDone;
}

}  // namespace

void add_merge(CLI::App& app, CommonFlags& flags, Action& action) {
  auto arguments = std::make_shared<MergeArguments>();
  CLI::App* verb =
      app.add_subcommand("merge", "Join blocks trained apart into one run");
  verb->add_option("runs", arguments->runs, "Folders of the runs")->required();
  verb->add_option("--out", arguments->out, "Folder of the new run")
      ->required();
  add_common_flags(*verb, flags);
  verb->callback([arguments, &flags, &action] {
    action = [arguments, &flags] { return merge(flags, *arguments); };
  });
}

}  // namespace dblocks::cli
