// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/precision.h"

#include <ATen/ops/ones.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "dblocks/ops/linear.h"

namespace dblocks::train {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int64_t kProbeSize = 768;

}  // namespace

double matmul_gflops(at::ScalarType type, at::Device device, int64_t n) {
  c10::InferenceMode inference;
  const at::Tensor a = at::ones({n, n}, at::TensorOptions(type).device(device));
  double best = 0;
  for (int repeat = 0; repeat < 4; ++repeat) {
    const auto start = Clock::now();
    // Reading an element waits for the device.
    ops::product(a, a).select(0, 0).select(0, 0).item();
    const double seconds =
        std::chrono::duration<double>(Clock::now() - start).count();
    const double flops = 2.0 * static_cast<double>(n * n * n);
    best = std::max(best, flops / seconds / 1e9);
  }
  return best;
}

bool cpu_has_bf16_instructions() {
#if defined(__x86_64__)
  // AMX machines have AVX512-BF16 too.
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

at::ScalarType compute_type(Precision precision) {
  return precision == Precision::kBf16 ? at::kBFloat16 : at::kFloat;
}

ResolvedPrecision resolve_precision(Precision asked, at::Device device) {
  if (asked == Precision::kFp32) {
    return {Precision::kFp32, "as asked", false};
  }
  const bool has_instructions = !device.is_cpu() || cpu_has_bf16_instructions();
  if (asked == Precision::kAuto && !has_instructions) {
    return {Precision::kFp32, "auto: this CPU has no bf16 instructions", false};
  }
  const double fp32 = matmul_gflops(at::kFloat, device, kProbeSize);
  const double bf16 = matmul_gflops(at::kBFloat16, device, kProbeSize);
  const std::string rates = fmt::format(
      "measured {:.0f} GFLOP/s in bf16 and {:.0f} in fp32", bf16, fp32);
  if (asked == Precision::kBf16) {
    return {Precision::kBf16, rates, bf16 < fp32};
  }
  return {bf16 > fp32 ? Precision::kBf16 : Precision::kFp32, "auto: " + rates,
          false};
}

}  // namespace dblocks::train
