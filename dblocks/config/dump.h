// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "dblocks/config/recipe.h"

namespace dblocks::config {

/// A recipe that holds every value, its origin as a comment behind it: what a
/// run folder keeps as resolved.toml. Reading it gives the same config, to the
/// bit.
std::string dump_toml(const LoadedConfig& loaded);

/// The origins that dump_toml() wrote as comments into `text`, by dotted key.
/// Lines of another form are passed over.
std::map<std::string, std::string, std::less<>> dumped_origins(
    std::string_view text);

}  // namespace dblocks::config
