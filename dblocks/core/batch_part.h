// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace dblocks {

/// Consecutive samples of a batch. `count` 0 means the whole batch.
struct BatchPart {
  int64_t first = 0;
  int64_t count = 0;

  bool operator==(const BatchPart&) const = default;
};

/// The part of the step's batch that tensors on this thread hold at present;
/// the whole one unless a BatchPartGuard says otherwise. What is random per
/// element reads it, so that a batch taken in parts meets the random numbers
/// that it would meet as a whole.
BatchPart current_batch_part();

/// Sets current_batch_part() of this thread while it lives.
class BatchPartGuard {
 public:
  explicit BatchPartGuard(const BatchPart& part);
  ~BatchPartGuard();
  BatchPartGuard(const BatchPartGuard&) = delete;
  BatchPartGuard& operator=(const BatchPartGuard&) = delete;

 private:
  BatchPart outer_;
};

}  // namespace dblocks
