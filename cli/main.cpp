// SPDX-License-Identifier: Apache-2.0
// dblocks-engine: the whole program.
#include <cstdio>
#include <string_view>

#include "cli/commands/reference.h"
#include "cli/program.h"
#include "cli/reference.h"

int main(int argc, char** argv) {
  CLI::App app;
  dblocks::cli::name_program(app);
  dblocks::cli::CommonFlags flags;
  dblocks::cli::Action action;
  dblocks::cli::add_train(app, flags, action);
  dblocks::cli::add_eval(app, flags, action);
  dblocks::cli::add_predict(app, flags, action);
  dblocks::cli::add_sample(app, flags, action);
  dblocks::cli::add_report(app, flags, action);
  dblocks::cli::add_sweep(app, flags, action);
  dblocks::cli::add_compare(app, flags, action);
  dblocks::cli::add_plan(app, flags, action);
  dblocks::cli::add_memory(app, flags, action);
  dblocks::cli::add_bench(app, flags, action);
  dblocks::cli::add_data(app, flags, action);
  dblocks::cli::add_config(app, flags, action);
  dblocks::cli::add_inspect(app, flags, action);
  dblocks::cli::add_verify(app, flags, action);
  dblocks::cli::add_merge(app, flags, action);
  dblocks::cli::add_export(app, flags, action);
  dblocks::cli::add_doctor(app, flags, action);
  dblocks::cli::add_completion(app, action);
  dblocks::cli::add_write_docs(app, action);
  if (argc < 2) {
    std::fputs(
        dblocks::cli::overview(dblocks::cli::describe_program(app)).c_str(),
        stderr);
    return static_cast<int>(dblocks::ExitCode::kConfig);
  }
  if (argc == 2 && std::string_view(argv[1]) == "--help-source") {
    // For the build: what the launcher answers without starting this program.
    const std::string source =
        dblocks::cli::help_source(dblocks::cli::describe_program(app));
    return std::fputs(source.c_str(), stdout) < 0 ? 1 : 0;
  }
  return dblocks::cli::run_program(app, flags, action, argc, argv);
}
