// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/Device.h>

#include "dblocks/data/dataset.h"
#include "dblocks/data/loader.h"
#include "dblocks/tasks/readouts.h"
#include "dblocks/tasks/unit.h"

namespace dblocks::train {

/// A loader's batch as tensors. On the CPU they are views, valid as long as the
/// batch; on another device they are copies.
tasks::LabelledBatch to_device(const data::Batch& batch,
                               const data::DatasetInfo& info,
                               at::Device device);

/// A whole data set in file order, unaugmented, for evaluation on `device`.
/// Damaged samples are left out where the data set passes over them. `set` must
/// outlive the result.
tasks::LabelledSet labelled_set(const data::Dataset& set, at::Device device);

}  // namespace dblocks::train
