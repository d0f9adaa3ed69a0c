// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dblocks/core/error.h"

namespace dblocks::cli {

/// Flags that mean the same everywhere.
struct CommonFlags {
  std::string device = "cpu";
  int64_t threads = 0;  ///< 0: as many as there are cores
  bool verbose = false;
  bool json = false;
};

/// Adds --verbose; --device, --threads and --verbose; --json.
void add_verbose_flag(CLI::App& verb, CommonFlags& flags);
void add_common_flags(CLI::App& verb, CommonFlags& flags);
void add_json_flag(CLI::App& verb, CommonFlags& flags);

/// Adds --set, which may be given several times, each with one key=value.
void add_set_flag(CLI::App& verb,
                  std::vector<std::string>& overrides,
                  const std::string& help);

/// What a verb does once its arguments are known.
using Action = std::function<ExitCode()>;

/// Each adds its verb to the program and sets `action` when it is chosen.
void add_train(CLI::App& app, CommonFlags& flags, Action& action);
void add_eval(CLI::App& app, CommonFlags& flags, Action& action);
void add_merge(CLI::App& app, CommonFlags& flags, Action& action);
void add_inspect(CLI::App& app, CommonFlags& flags, Action& action);
void add_verify(CLI::App& app, CommonFlags& flags, Action& action);
void add_export(CLI::App& app, CommonFlags& flags, Action& action);
void add_config(CLI::App& app, CommonFlags& flags, Action& action);
void add_doctor(CLI::App& app, CommonFlags& flags, Action& action);
void add_memory(CLI::App& app, CommonFlags& flags, Action& action);
void add_report(CLI::App& app, CommonFlags& flags, Action& action);
void add_compare(CLI::App& app, CommonFlags& flags, Action& action);
void add_plan(CLI::App& app, CommonFlags& flags, Action& action);
void add_predict(CLI::App& app, CommonFlags& flags, Action& action);
void add_sweep(CLI::App& app, CommonFlags& flags, Action& action);
void add_sample(CLI::App& app, CommonFlags& flags, Action& action);
void add_bench(CLI::App& app, CommonFlags& flags, Action& action);
void add_data(CLI::App& app, CommonFlags& flags, Action& action);

}  // namespace dblocks::cli
