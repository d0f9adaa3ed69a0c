// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace dblocks::testing {

/// What an action cost.
struct Cost {
  double seconds = 0;
  size_t peak_bytes = 0;  ///< growth of the heap at its highest
};

/// Starts counting; call cost_so_far() to read.
void start_counting();
Cost cost_so_far();

/// Most that refusing one small hostile file may cost. The goal is 50 ms; where
/// other tests share the processor's cores the slowest case has taken 66 ms, so
/// tests allow twice the goal. Sanitizers slow the parse down and get more.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr double kMaxSeconds = 1.0;
#else
inline constexpr double kMaxSeconds = 0.1;
#endif
inline constexpr size_t kMaxGrowthBytes = size_t{32} << 20;

}  // namespace dblocks::testing
