// SPDX-License-Identifier: Apache-2.0
// The work of a training step, worked out from shapes alone: the matrix
// products, and the bytes that everything else moves.
//
// Operations are counted as useful ones: a multiply-add is two, the backward
// pass of a product is two products of the same size, or one where its input
// needs no derivative (the first product after images or sinusoids). Only what
// is computed counts: a classifier's last layer works for one token of each
// sample. Element-wise operations are no part of the count.
#pragma once

#include <cstdint>
#include <vector>

#include "dblocks/memory/planner.h"

namespace dblocks::memory {

/// A product [rows, inner] x [inner, columns] that a step computes.
struct Product {
  int64_t rows = 1;
  int64_t inner = 1;
  int64_t columns = 1;
  int64_t batch = 1;        ///< products computed as one: samples * heads
  int64_t count = 1;        ///< times in a forward pass
  int64_t derivatives = 2;  ///< products that its backward pass takes
  int64_t again = 0;        ///< times that recomputation runs it on top

  /// Operations of one.
  double flops() const {
    return 2.0 * static_cast<double>(batch * rows) *
           static_cast<double>(inner * columns);
  }
  /// How often one of this size is computed in a step.
  double times() const {
    return static_cast<double>(count * (1 + derivatives) + again);
  }
};

/// The work of one step of one unit.
struct StepWork {
  std::vector<Product> products;
  /// Bytes read and written by forward and backward passes beside their
  /// products' own traffic, an estimate: what is kept for derivatives is
  /// written and read, and so is its gradient; weights are read twice, and
  /// their gradient is made, read, added and written. Recomputation writes what
  /// is kept once more.
  double pass_bytes = 0;
  /// Bytes read and written by setting the gradient to zero, taking its norm,
  /// AdamW and the average; exact.
  double optimizer_bytes = 0;

  double forward_flops() const;
  double useful_flops() const;
  /// With what recomputation runs again.
  double hardware_flops() const;
  double moved_bytes() const { return pass_bytes + optimizer_bytes; }
};

/// Requires: positive numbers.
StepWork work_of(const StepShape& shape, const UnitShape& unit);

/// Measured rates of a machine that a step meets. Per second.
struct MachineRates {
  double matmul_flops = 0;     ///< in the precision of the step
  double memory_bytes = 0;     ///< read and written
  double state_in_bytes = 0;   ///< from the tier below; 0 = not known
  double state_out_bytes = 0;  ///< to it
};

/// The least time that a step takes by each bound on its own, in seconds.
struct Roofline {
  double matmul_seconds = 0;
  double memory_seconds = 0;
  double move_seconds = 0;  ///< of the state, in and out

  /// The larger of the bounds of a step whose state is there.
  double seconds() const;
  bool is_matmul_bound() const { return matmul_seconds >= memory_seconds; }
  /// Steps that a block must stay for the next one's moving to be hidden behind
  /// steps of `step_seconds`: k_hide. Both directions share the link.
  double steps_to_hide(double step_seconds) const {
    return move_seconds / step_seconds;
  }
};

/// `state_bytes`: what travels when blocks take turns.
Roofline roofline_of(const StepWork& work,
                     double state_bytes,
                     const MachineRates& rates);

}  // namespace dblocks::memory
