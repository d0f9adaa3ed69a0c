// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "dblocks/data/dataset.h"
#include "dblocks/report/evaluation.h"
#include "dblocks/tasks/readouts.h"

namespace dblocks::cli {

/// Test images to show, with what a readout said of them along the chain: the
/// first eight, and the four others that it got wrong with most confidence.
/// Requires: `readout` was measured on `test`.
std::vector<report::Sample> pick_samples(const data::Dataset& test,
                                         const tasks::ReadoutResult& readout);

}  // namespace dblocks::cli
