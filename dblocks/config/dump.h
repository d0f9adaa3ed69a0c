// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dblocks/config/recipe.h"

namespace dblocks::config {

/// A recipe that holds every value, its origin as a comment behind it: what a
/// run folder keeps as resolved.toml. Reading it gives the same config, to the
/// bit.
std::string dump_toml(const LoadedConfig& loaded);

}  // namespace dblocks::config
