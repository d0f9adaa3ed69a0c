// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "dblocks/tasks/options.h"

namespace dblocks::tasks {

/// Clean targets: rows of the table scaled to unit length. Differentiable.
/// *Shapes*: table: [K, D]; labels: [N]; result: [N, D].
at::Tensor clean_targets(const at::Tensor& table, const at::Tensor& labels);

/// The expected clean target under a prediction over classes.
/// *Shapes*: probabilities: [N, K]; table: [K, D]; result: [N, D].
/// With options.normalised_bridge_table rows have unit length, as the clean
/// targets of training have; otherwise the raw table is used, as published.
at::Tensor bridge(const at::Tensor& probabilities,
                  const at::Tensor& table,
                  const ClassificationOptions& options);

}  // namespace dblocks::tasks
