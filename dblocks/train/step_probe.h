// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <optional>

#include "dblocks/core/spread.h"
#include "dblocks/train/machine_probe.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::train {

/// Measured time of the steps of one unit, in seconds.
struct StepTime {
  Spread seconds;
  /// Medians of the forward pass and of zeroing, clipping, AdamW and average,
  /// each on its own; the rest is the backward pass. On a CPU with the whole
  /// batch at once only: elsewhere parts overlap.
  std::optional<double> forward_seconds, optimizer_seconds;
  int64_t num_parameters = 0;  ///< trained, shared parts included
  int64_t state_bytes = 0;     ///< that travel when blocks take turns
  int64_t peak_bytes = 0;      ///< most that tensors on the device took
  bool is_recorded = false;    ///< whether steps were replayed as a graph
};

/// Takes steps of a unit with random images and labels that lie on the device,
/// as training takes them: one by one, or as a recorded graph where it would
/// record them. Nothing is saved. Requires: the CPU meter is installed.
/// *Errors*: as block_step().
StepTime measure_step_time(const RunSetup& setup,
                           int64_t unit,
                           at::Device device,
                           const Repeats& repeats);

}  // namespace dblocks::train
