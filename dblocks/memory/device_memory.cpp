// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/device_memory.h"

#include <c10/core/CachingDeviceAllocator.h>

#include "dblocks/memory/meter.h"

namespace dblocks::memory {

int64_t device_peak_bytes(c10::Device device) {
  if (device.is_cpu()) {
    return cpu_peak_bytes();
  }
  const auto stats =
      c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
  constexpr auto kAll =
      static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return stats.allocated_bytes[kAll].peak;
}

}  // namespace dblocks::memory
