// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>

#include "dblocks/train/options.h"

namespace dblocks::train {

/// What the matrix multiplications of a run are done in, and why.
struct ResolvedPrecision {
  Precision precision = Precision::kFp32;  ///< never kAuto
  std::string reason;                      ///< with the measured rates
  bool is_slow = false;  ///< bf16 was asked for where it is slower than fp32
};

/// Decides by measuring: a square matrix multiplication in fp32 and in bf16 on
/// the device. kAuto takes bf16 only where the device has the instructions for
/// it and it is faster; an explicit bf16 is kept and judged.
ResolvedPrecision resolve_precision(Precision asked, at::Device device);

/// Measured rate of an n x n x n matrix multiplication, in GFLOP/s.
double matmul_gflops(at::ScalarType type, at::Device device, int64_t n);

/// Whether this CPU multiplies bfloat16 in hardware.
bool cpu_has_bf16_instructions();

/// The element type that a resolved precision stands for.
at::ScalarType compute_type(Precision precision);

}  // namespace dblocks::train
