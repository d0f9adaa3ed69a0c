// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace dblocks::train {

/// Copies of states in one direction between host memory and a device.
struct DeviceTraffic {
  int64_t num_states = 0;
  uint64_t bytes = 0;
  double seconds = 0;  ///< spent on copying
};

}  // namespace dblocks::train
