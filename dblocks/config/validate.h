// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dblocks/config/run_config.h"
#include "dblocks/data/dataset.h"

namespace dblocks::config {

/// Checks what a recipe alone can tell: every range and every rule that joins
/// several keys, resolved or not.
/// Errors: ConfigError naming the keys.
void validate(const RunConfig& config);

/// Checks what needs the data: patches that tile the images, room for an
/// orthonormal target table, a batch no larger than the training set.
/// `train_size` is the number of training images after data.train_samples.
/// Errors: ConfigError naming the keys.
void validate_for_data(const RunConfig& config,
                       const data::DatasetInfo& info,
                       int64_t train_size);

/// One line for each setting that differs from its default but has no effect in
/// this config, and for combinations that are allowed but rarely meant.
std::vector<std::string> warnings(const RunConfig& config);

}  // namespace dblocks::config
