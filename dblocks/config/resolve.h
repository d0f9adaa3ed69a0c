// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "dblocks/config/recipe.h"

namespace dblocks::config {

/// Validates a config and works out every value that it leaves open: steps from
/// epochs, the numbers behind a noise preset, and defaults that depend on other
/// keys. What it sets gets an origin "resolved: why". Resolving twice changes
/// nothing. `train_size` is the number of training images after
/// data.train_samples.
/// Errors: ConfigError as validate(), and if an epoch holds no whole batch.
void resolve(LoadedConfig& loaded, int64_t train_size);

}  // namespace dblocks::config
