// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace dblocks::ops {

/// Sets each element to 0 with probability `p` and divides the others by 1 - p.
/// On a CPU the mask is a function of a key, drawn from LibTorch's generator,
/// and of the element's place: the backward pass makes it again, so no mask is
/// kept, and neither threads nor batches of work change it. Other devices take
/// dropout_composed. Of a part of a batch (see BatchPart) it drops what it
/// drops of the whole one. x: any shape, for parts sample first; float32 or
/// bfloat16; 0 <= p < 1. *Source*: Srivastava et al. 2014, "Dropout".
at::Tensor dropout(const at::Tensor& x, double p);

/// The readable twin: LibTorch's own operation, with other random numbers.
at::Tensor dropout_composed(const at::Tensor& x, double p);

}  // namespace dblocks::ops
