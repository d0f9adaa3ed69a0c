// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ops/tensor.h>

#include <vector>

namespace dblocks::tasks {

/// One number per channel of images. *Shapes*: result: [1, C, 1, 1] of `type`.
inline at::Tensor per_channel(const std::vector<double>& values,
                              at::ScalarType type) {
  return at::tensor(values, type).view({1, -1, 1, 1});
}

}  // namespace dblocks::tasks
