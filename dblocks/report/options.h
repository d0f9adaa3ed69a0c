// SPDX-License-Identifier: Apache-2.0
// What a run tells about itself while it trains. Plain data.
#pragma once

#include <cstdint>

#include "dblocks/core/fields.h"

namespace dblocks::report {

struct EventOptions {
  /// Steps of one block between two histograms of its weights and gradients in
  /// the TensorBoard events; 0 = none. Each takes about 1 KiB per tensor.
  int64_t histograms_every_steps = 0;
  /// Steps of every block between two pictures drawn from a run that generates
  /// images; 0 = none.
  int64_t previews_every_steps = 0;
};

inline void visit_fields(FieldVisitor& visitor, EventOptions& options) {
  visitor.field({"histograms_every_steps", "steps of one block",
                 "Distance of two histograms of weights and gradients for "
                 "TensorBoard; 0 = none."},
                options.histograms_every_steps);
  visitor.field({"previews_every_steps", "steps of every block",
                 "Distance of two pictures drawn while a run that generates "
                 "images trains, at the first checkpoints that reach it; 0 = "
                 "none."},
                options.previews_every_steps);
}

}  // namespace dblocks::report
