// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dblocks/config/run_config.h"
#include "dblocks/data/dataset.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::config {

/// A resolved config as the trainer takes it. `info` gives the images' shape
/// and the number of classes.
train::RunSetup make_setup(const RunConfig& config,
                           const data::DatasetInfo& info);

}  // namespace dblocks::config
