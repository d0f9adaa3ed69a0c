// SPDX-License-Identifier: Apache-2.0
// Opens LibTorch's CUDA half and our kernels for it. A program that runs on the
// CPU loads neither.
#pragma once

#include <ATen/core/Tensor.h>

#include "dblocks/ops/cuda/kernels.h"

namespace dblocks::ops::cuda {

/// Makes CUDA devices usable: loads libtorch_cuda.so, and libdblocks_cuda.so if
/// it lies beside the program; without that LibTorch's own operations serve.
/// Returns the number of devices. *Errors*: DeviceError if LibTorch's CUDA half
/// cannot be loaded.
int open_devices();

/// Our kernels; null before open_devices(), or where there are none.
const Kernels* kernels();

/// Whether our kernels can serve this tensor: float32 or bfloat16 on a CUDA
/// device, 16-byte aligned, its last dimension a multiple of 4.
bool serves(const at::Tensor& tensor);

/// The stream that work on `device` goes to now, as kernels take it.
void* current_stream(at::Device device);

Element element_of(const at::Tensor& tensor);

/// Throws DeviceError for an error that a kernel returned.
void check(const char* error);

}  // namespace dblocks::ops::cuda
