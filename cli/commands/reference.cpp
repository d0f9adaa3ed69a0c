// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/reference.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "cli/output.h"
#include "cli/reference.h"
#include "dblocks/config/explain.h"
#include "dblocks/core/file_system.h"

namespace dblocks::cli {
namespace {

ExitCode write_docs(const CLI::App& program,
                    const std::filesystem::path& folder) {
  FileSystem& disk = real_file_system();
  const std::vector<VerbEntry> verbs = describe_program(program);
  disk.make_folders(folder / "cli");
  disk.make_folders(folder / "man");
  for (const auto& [name, text] : help_pages(verbs)) {
    disk.write_file(folder / "cli" / name, text);
  }
  disk.write_file(folder / "man" / "dblocks.1", man_page(verbs));
  disk.write_file(folder / "recipes.md", config::explain_markdown());
  print_line(
      fmt::format("wrote cli, man and recipes.md in {}", folder.string()));
  return ExitCode::kDone;
}

}  // namespace

void add_completion(CLI::App& app, Action& action) {
  auto shell = std::make_shared<std::string>();
  CLI::App* verb =
      app.add_subcommand("completion", "Print a completion script for a shell");
  verb->add_option("shell", *shell, "source <(dblocks completion bash)")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
  verb->callback([shell, &app, &action] {
    action = [shell, &app] {
      const std::vector<VerbEntry> verbs = describe_program(app);
      print_line(*shell == "bash" ? bash_completion(verbs)
                                  : zsh_completion(verbs));
      return ExitCode::kDone;
    };
  });
}

void add_write_docs(CLI::App& app, Action& action) {
  auto folder = std::make_shared<std::string>();
  CLI::App* verb =
      app.add_subcommand("write-docs", "Write the pages made by the program");
  verb->group("");
  verb->add_option("folder", *folder, "Folder to write into")->required();
  verb->callback([folder, &app, &action] {
    action = [folder, &app] { return write_docs(app, *folder); };
  });
}

}  // namespace dblocks::cli
