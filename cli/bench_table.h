// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace dblocks::cli {

/// What `dblocks bench` found, for people. `report` is its JSON object.
std::vector<std::string> bench_lines(const nlohmann::ordered_json& report);

}  // namespace dblocks::cli
