// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/command.h"

namespace dblocks::cli {

/// Adds `completion`, and for tools/update_docs `write-docs`, which no help
/// page shows. Both describe the program as it is when they run.
void add_completion(CLI::App& app, Action& action);
void add_write_docs(CLI::App& app, Action& action);

}  // namespace dblocks::cli
