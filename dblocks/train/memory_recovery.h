// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dblocks/train/block_step.h"

namespace dblocks::train {

/// block_step() that makes do with the memory there is: when it runs out, the
/// step is taken again with micro-batches of half the size, down to single
/// samples. `options.micro_batch` stays at the size that fitted, and the log
/// says so once. The result is that of block_step(), to rounding.
/// *Errors*: OutOfMemoryError if a single sample does not fit; otherwise as
/// block_step(). The state is then as before the step.
StepResult step_within_memory(UnitState& state,
                              const tasks::LabelledBatch& batch,
                              const tasks::StepKey& key,
                              StepOptions& options);

}  // namespace dblocks::train
