// SPDX-License-Identifier: Apache-2.0
// What the folder of a run tells without its data set and without its weights.
#pragma once

#include <filesystem>
#include <string>

#include "dblocks/config/run_config.h"
#include "dblocks/report/run_page.h"

namespace dblocks::cli {

/// Files that `dblocks eval`, `memory` and `report` leave in a run.
inline constexpr const char* kEvaluationName = "eval.json";
inline constexpr const char* kImageEvaluationName = "image_eval.json";
inline constexpr const char* kImageHistoryName = "image_history.json";
inline constexpr const char* kMemoryName = "memory.json";
inline constexpr const char* kReportName = "report.html";

struct RunRecord {
  config::RunConfig config;
  report::RunPage page;
};

/// Reads a run that may be half trained, still training, or not evaluated.
/// A damaged eval.json, memory.json or environment.json is left out and told in
/// page.problems. *Errors*: CheckpointError if the folder holds no run,
/// ConfigError if its resolved recipe cannot be read.
RunRecord read_run(const std::filesystem::path& folder);

/// An argument as a shell takes it.
std::string shell_word(const std::string& text);

}  // namespace dblocks::cli
