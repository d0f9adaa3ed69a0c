// SPDX-License-Identifier: Apache-2.0
#include "cli/program.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "dblocks/config/suggest.h"
#include "dblocks/core/log.h"

namespace dblocks::cli {
namespace {

void connect_log(bool verbose) {
  auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  sink->set_pattern("dblocks: %^%l%$: %v");
  dblocks::log().sinks() = {sink};
  dblocks::log().set_level(verbose ? spdlog::level::debug
                                   : spdlog::level::warn);
}

int run(const CommonFlags& flags, const Action& action) {
  try {
    connect_log(flags.verbose);
    return static_cast<int>(action());
  } catch (const dblocks::Error& error) {
    return report_error(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return report_error(ExitCode::kDevice,
                        "[memory] the machine's memory ran out. Hint: lower "
                        "data.batch_size or raise blocks.num_blocks");
  } catch (const std::exception& error) {
    return report_error(ExitCode::kInternal, error.what());
  }
}

/// Why the command line could not be read, in one line. CLI11 says of a wrong
/// verb only that one is required.
std::string explain(const CLI::App& app,
                    const CLI::ParseError& error,
                    const std::string& first_word) {
  std::vector<std::string> verbs;
  for (const CLI::App* verb : app.get_subcommands({})) {
    verbs.push_back(verb->get_name());
  }
  const bool is_verb = std::ranges::find(verbs, first_word) != verbs.end();
  if (is_verb || first_word.empty() || first_word.starts_with('-')) {
    return std::string("[cli] ") + error.what() + ". Hint: see dblocks --help";
  }
  return fmt::format(
      "[cli] expected a verb, found '{}'; the nearest is {}. Hint: see dblocks "
      "--help",
      first_word, config::nearest(first_word, verbs));
}

}  // namespace

void name_program(CLI::App& app) {
  app.description("Trains deep residual networks one block at a time.");
  app.name("dblocks");
  app.require_subcommand(1);
  app.set_version_flag("--version", "dblocks " DBLOCKS_VERSION
                                    "\nLibTorch " DBLOCKS_TORCH_VERSION);
}

int run_program(CLI::App& app,
                const CommonFlags& flags,
                const Action& action,
                int argc,
                char** argv) {
  // A write beyond the file size limit is an error like any other, not the end.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      return app.exit(error);  // --help, --version
    }
    const std::string message = explain(app, error, argc > 1 ? argv[1] : "");
    return report_error(ExitCode::kConfig, message.c_str());
  }
  return run(flags, action);
}

int report_error(ExitCode code, const char* message) {
  std::fprintf(stderr, "dblocks: error: %s\n", message);
  return static_cast<int>(code);
}

}  // namespace dblocks::cli
