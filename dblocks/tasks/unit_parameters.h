// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <vector>

#include "dblocks/blocks/options.h"
#include "dblocks/tasks/unit.h"

namespace dblocks::tasks {

/// The parameters of a unit's network with their names in files and owners;
/// those that are frozen stop asking for gradients.
std::vector<UnitParameter> unit_parameters(
    torch::nn::Module& network,
    int64_t unit,
    const blocks::OwnershipOptions& ownership);

}  // namespace dblocks::tasks
