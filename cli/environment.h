// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <vector>

#include "dblocks/report/evaluation.h"

namespace dblocks::cli {

/// Beside the recipe in the folder of a run: where it was started.
inline constexpr const char* kEnvironmentName = "environment.json";

/// What numbers of this process depend on besides the recipe: versions,
/// processor, threads, date.
std::vector<report::NamedValue> environment_facts();

/// Writes environment_facts() as a JSON object.
void write_environment(const std::filesystem::path& file);

/// Reads them back; nothing if the file is not there. *Errors*:
/// CheckpointError if it is no object of strings.
std::vector<report::NamedValue> read_environment(
    const std::filesystem::path& file);

}  // namespace dblocks::cli
