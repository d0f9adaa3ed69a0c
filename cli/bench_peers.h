// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "cli/bench_shapes.h"
#include "cli/command.h"

namespace dblocks::cli {

/// How the peers are run.
struct PeerOptions {
  std::string python;  ///< interpreter with torch; "" = no peers
  CommonFlags flags;   ///< device and threads
  int64_t warmup = 1;
  int64_t steps = 5;
};

/// Takes the same step in plain eager PyTorch (benchmarks/peers/bench_step.py,
/// looked for beside the program's build folder and in the present folder) in a
/// process of its own. What the script prints, or {"error": why not}.
nlohmann::ordered_json run_peer(const PeerOptions& options,
                                const BenchShape& shape,
                                const std::string& precision);

}  // namespace dblocks::cli
