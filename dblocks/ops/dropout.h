// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace dblocks::ops {

/// Sets each element to 0 with probability `p` and divides the others by 1 - p.
/// The mask is a function of a key, drawn from LibTorch's generator of the CPU,
/// and of the element's place: the backward pass makes it again, so no mask is
/// kept, neither threads nor batches of work change it, and a CUDA device drops
/// what a CPU drops. CUDA without our kernels takes dropout_composed. Of a part
/// of a batch (see BatchPart) it drops what it drops of the whole one. x: any
/// shape, for parts sample first; float32 or bfloat16; 0 <= p < 1. *Source*:
/// Srivastava et al. 2014, "Dropout".
at::Tensor dropout(const at::Tensor& x, double p);

/// The readable twin: LibTorch's own operation, with other random numbers.
at::Tensor dropout_composed(const at::Tensor& x, double p);

/// While it lives, dropout on CUDA devices by this thread reads its keys from
/// `keys`, one after the other, when it runs: work that is recorded once and
/// replayed can then drop other elements each time.
/// *Shapes*: keys: [at least as many as there are calls] int64, on the device;
/// must outlive the recorded work.
class StoredDropoutKeys {
 public:
  explicit StoredDropoutKeys(const at::Tensor& keys);
  ~StoredDropoutKeys();
  StoredDropoutKeys(const StoredDropoutKeys&) = delete;
  StoredDropoutKeys& operator=(const StoredDropoutKeys&) = delete;

  /// Calls so far.
  int64_t num_used() const;
};

/// The key that the next call of dropout() would draw.
uint64_t draw_dropout_key();

}  // namespace dblocks::ops
