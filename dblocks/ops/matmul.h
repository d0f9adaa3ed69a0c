// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace dblocks::ops::internal {

/// c = a b, or a b + bias in every row, in float32 on LibTorch's threads. An
/// element is summed in an order that depends on k alone: it has the same bits
/// whatever the number of threads and whatever rows and columns are beside it.
/// Each thread keeps 0.2 MiB for good, the caller another 1 MiB.
/// *Shapes*: a: [m, k]; b: [k, n]; bias: [n], dense, or undefined; c: [m, n],
/// dense.
/// *Requires*: has_matmul_kernel(), and none of m, n and k is 0.
void matmul(const at::Tensor& a,
            const at::Tensor& b,
            const at::Tensor& bias,
            const at::Tensor& c);

}  // namespace dblocks::ops::internal
