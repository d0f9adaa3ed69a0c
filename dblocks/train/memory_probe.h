// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <vector>

#include "dblocks/data/dataset.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::train {

/// Measured memory of one training step of one unit.
struct StepMemory {
  int64_t unit = 0;
  int64_t num_layers = 0;
  int64_t num_parameters = 0;  ///< trained scalars, outer parts included
  int64_t state_bytes = 0;     ///< weights, gradient and moments, once loaded
  int64_t peak_bytes = 0;      ///< most tensor bytes alive during a step
};

/// Takes two steps of every unit of `setup`, one unit resident at a time, and
/// measures tensor bytes. Nothing is saved. Requires: the CPU meter is
/// installed and no other tensors come and go meanwhile; a CPU device.
std::vector<StepMemory> measure_step_memory(const RunSetup& setup,
                                            const data::Dataset& train_set);

}  // namespace dblocks::train
