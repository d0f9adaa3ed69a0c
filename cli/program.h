// SPDX-License-Identifier: Apache-2.0
// What both programs have in common: dblocks, which answers at once what it can
// and hands the rest on, and dblocks-engine, which has every verb and LibTorch.
#pragma once

#include <span>
#include <string>

#include "cli/command.h"

namespace dblocks::cli {

/// Names the program and its --version.
void name_program(CLI::App& app);

/// Reads the command line and does what it asks for. The only place that
/// catches errors for good and turns them into exit codes.
int run_program(CLI::App& app,
                const CommonFlags& flags,
                const Action& action,
                int argc,
                char** argv);

/// Says on standard error what went wrong. Returns the code to exit with.
int report_error(ExitCode code, const char* message);

/// The help of one verb; of the program where `verb` is empty.
struct HelpText {
  const char* verb;  ///< words separated by spaces
  const char* text;
};

/// The help texts of the engine. The build writes their source; the launcher
/// alone has it.
std::span<const HelpText> help_texts();

/// What the program says without arguments; from the same source.
const char* overview_text();

}  // namespace dblocks::cli
