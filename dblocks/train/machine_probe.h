// SPDX-License-Identifier: Apache-2.0
// What a machine can do at most, measured: the limits that steps are held
// against.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "dblocks/core/spread.h"
#include "dblocks/memory/step_work.h"

namespace dblocks::train {

/// How often and how long something is measured.
struct Repeats {
  int64_t warmup = 1;
  int64_t least = 5;   ///< runs
  int64_t most = 100;  ///< runs
  double seconds = 1;  ///< after which no run starts beyond the least
};

/// Waits until everything asked of `device` is done.
void wait_for(at::Device device);

/// Seconds of `run`, each measured until the device is done.
Spread time_runs(const std::function<void()>& run,
                 at::Device device,
                 const Repeats& repeats);

/// Operations per second of square matrix products.
struct MatmulPeak {
  int64_t size = 0;  ///< the one with the best median
  Spread flops_per_second;
};

/// Multiplies random n x n matrices for each n of `sizes`, which increase; a
/// size that takes more than repeats.seconds a run is measured once and the
/// last.
MatmulPeak measure_matmul(at::ScalarType type,
                          at::Device device,
                          const std::vector<int64_t>& sizes,
                          const Repeats& repeats);

/// Operations per second of the products of a step, forward and backward, each
/// measured in its own shape and weighed with how often it is computed.
/// Requires: at least one product.
double measure_products(const std::vector<memory::Product>& products,
                        at::ScalarType type,
                        at::Device device,
                        const Repeats& repeats);

/// Bytes that a copy of `bytes` within the device's memory reads and writes per
/// second: twice those copied.
Spread measure_copy(at::Device device, int64_t bytes, const Repeats& repeats);

/// Bytes per second between pinned host memory and a device.
struct LinkRates {
  Spread to_device, to_host;
};

/// Nothing for a CPU.
std::optional<LinkRates> measure_link(at::Device device,
                                      int64_t bytes,
                                      const Repeats& repeats);

}  // namespace dblocks::train
