// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/run_folders.h"
#include "dblocks/checkpoint/manifest.h"
#include "dblocks/core/file_system.h"

namespace dblocks::cli {
namespace {

ExitCode verify(const std::string& run) {
  const std::vector<std::filesystem::path> folders = checkpoint_folders(run);
  DBLOCKS_CHECK(!folders.empty(), CheckpointError,
                "[verify] {}: expected checkpoints, found none", run);
  int64_t num_bad = 0;
  for (const std::filesystem::path& folder : folders) {
    try {
      const checkpoint::Manifest manifest =
          checkpoint::verify_checkpoint(real_file_system(), folder);
      print_line(fmt::format("good    {} ({} files)", folder.string(),
                             manifest.files.size()));
    } catch (const CheckpointError& error) {
      ++num_bad;
      print_line(fmt::format("damaged {}: {}", folder.string(), error.what()));
    }
  }
  DBLOCKS_CHECK(num_bad == 0, CheckpointError,
                "[verify] {}: found {} damaged of {} checkpoints", run, num_bad,
                folders.size());
  return ExitCode::kDone;
}

}  // namespace

void add_verify(CLI::App& app, CommonFlags& flags, Action& action) {
  auto run = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand(
      "verify", "Check every file of a run against its manifest");
  verb->add_option("run", *run, "Folder of the run")->required();
  add_verbose_flag(*verb, flags);
  verb->callback([run, &action] { action = [run] { return verify(*run); }; });
}

}  // namespace dblocks::cli
