// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/memory_recovery.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <new>
#include <string>

#include "dblocks/core/error.h"
#include "dblocks/core/log.h"
#include "dblocks/memory/meter.h"

namespace dblocks::train {
namespace {

/// Half of what runs at once now.
int64_t halve(const std::string& why,
              const tasks::StepKey& key,
              int64_t at_once) {
  DBLOCKS_CHECK(at_once > 1, OutOfMemoryError,
                "[train] expected room for a step of block {} with one sample "
                "at a time, found none at step {}: {}. Hint: more blocks, "
                "train.recompute = layer or optim.moments = int8 need less",
                key.unit, key.step, why);
  return (at_once + 1) / 2;
}

}  // namespace

StepResult step_within_memory(UnitState& state,
                              const tasks::LabelledBatch& batch,
                              const tasks::StepKey& key,
                              StepOptions& options) {
  const int64_t samples = batch.labels.size(0);
  int64_t at_once = options.micro_batch > 0
                        ? std::min(options.micro_batch, samples)
                        : samples;
  std::string why;
  while (true) {
    try {
      const StepResult result = block_step(state, batch, key, options);
      if (!why.empty()) {
        log().warn(
            "[train] out of memory in block {}, step {}: went on with "
            "micro-batches of {} of the batch's {} samples, which give the "
            "same to rounding ({})",
            key.unit, key.step, at_once, samples, why);
      }
      return result;
    } catch (const OutOfMemoryError& error) {
      why = error.what();
    } catch (const c10::OutOfMemoryError& error) {
      why = error.what_without_backtrace();
    } catch (const std::bad_alloc& error) {
      why = error.what();
    }
    at_once = halve(why, key, at_once);
    options.micro_batch = at_once;
    memory::release_kept_memory();
  }
}

}  // namespace dblocks::train
