// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "dblocks/core/random.h"

namespace dblocks::ops {

/// Names a RandomStream.
struct StreamKey {
  uint64_t seed;
  RandomPurpose purpose;
  uint64_t a, b;
};

/// Standard normal float32 numbers, those that fill_normal() of the stream
/// draws; a CUDA device makes them itself where our kernels are loaded, equal
/// but for the rounding of logarithms and sines in double.
at::Tensor normal_noise(const StreamKey& key,
                        at::IntArrayRef shape,
                        at::Device device);

}  // namespace dblocks::ops
