// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "dblocks/core/state_format.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::train {

/// Settings of a step that trade memory for time, and what they come to.
struct MemorySettings {
  bool recompute = false;
  int64_t micro_batch = 0;  ///< samples; 0 = the whole batch
  MomentFormat moments = MomentFormat::kFp32;
  int64_t peak_bytes = 0;  ///< predicted, of the unit that takes most
  /// Estimated time of a step over that of the run's own settings: running
  /// layers again is the third of their work that is forward, and every pass
  /// takes a millisecond a layer beside its products, which are taken to run at
  /// 30 GFLOP/s. Meant for the order of settings, not as a forecast.
  double relative_time = 1;
};

/// `setup` with other settings.
RunSetup with_settings(RunSetup setup, const MemorySettings& settings);

/// What was tried to bring the predicted peak of `setup` down to `bytes`: its
/// own settings, then others by their estimated time; those with 8-bit moments,
/// which change the result, after all that do not. Ends with the first that
/// fits; if none does, all are there.
std::vector<MemorySettings> settings_for_memory(const RunSetup& setup,
                                                int64_t bytes);

}  // namespace dblocks::train
