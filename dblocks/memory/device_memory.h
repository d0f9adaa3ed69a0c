// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

namespace dblocks::memory {

/// The most bytes that tensors on `device` took at once so far: on a CPU what
/// the meter counted (see meter.h), elsewhere what LibTorch's allocator did.
int64_t device_peak_bytes(c10::Device device);

}  // namespace dblocks::memory
