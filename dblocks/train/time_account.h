// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace dblocks::train {

/// Where the time of training has gone since the process began with it.
struct TimeAccount {
  double step_seconds = 0;         ///< waiting for data included
  double data_wait_seconds = 0;    ///< within steps
  double paging_wait_seconds = 0;  ///< for states that come in or leave
  /// Training stood still for checkpoints of the resident and the shared state.
  double commit_seconds = 0;
  int64_t num_steps = 0;
  int64_t num_images = 0;
  int64_t num_commits = 0;  ///< that training waited for

  double seconds() const {
    return step_seconds + paging_wait_seconds + commit_seconds;
  }
  double images_per_second() const {
    return seconds() > 0 ? static_cast<double>(num_images) / seconds() : 0;
  }
  double mean_step_seconds() const {
    return num_steps > 0 ? step_seconds / static_cast<double>(num_steps) : 0;
  }
  /// Of one of the above.
  double share(double part_seconds) const {
    return seconds() > 0 ? part_seconds / seconds() : 0;
  }
};

}  // namespace dblocks::train
