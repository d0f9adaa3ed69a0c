// SPDX-License-Identifier: Apache-2.0
// Image generation with a DiT: which units a method consists of, and how each
// one is built and initialised.
#pragma once

#include <cstdint>
#include <memory>

#include "dblocks/tasks/task.h"

namespace dblocks::tasks {

/// Makes the units of one method.
///
/// | method             | units | each unit | | diffusion_blocks   | B     | a
/// block with its outer parts, on its interval | | end_to_end         | 1     |
/// the whole DiT, on every sigma                 | | end_to_end_shallow | 1 | a
/// DiT of as many layers as block 0, likewise  |
class GenerationTask : public Task {
 public:
  /// *Errors*: ConfigError for another method, and for options that do not fit
  /// together.
  explicit GenerationTask(const TaskOptions& options);

  std::unique_ptr<Unit> make_unit(int64_t unit) const override;
};

}  // namespace dblocks::tasks
