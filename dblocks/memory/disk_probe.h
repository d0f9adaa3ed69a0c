// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>

#include "dblocks/core/spread.h"

namespace dblocks::memory {

struct DiskProbeOptions {
  size_t file_bytes = size_t{512} << 20;   ///< a multiple of request_bytes
  size_t request_bytes = size_t{8} << 20;  ///< a multiple of 4096
  int in_flight = 4;                       ///< requests at once, one per thread
  int runs = 3;                            ///< after one that makes the file
};

/// Rates of a disk in bytes per second.
struct DiskRates {
  Spread write, read;
  /// Whether the file moved past the system's page cache (O_DIRECT). Where not,
  /// writes are synced and the cache is asked to drop them before each read.
  bool past_cache = false;
};

/// Overwrites and reads one file in `folder` in sequence, with several requests
/// in flight: the rate that paging can reach at most. The file has no name and
/// is gone afterwards, whatever happens. *Errors*: those of throw_file_error().
DiskRates measure_disk(const std::filesystem::path& folder,
                       const DiskProbeOptions& options = {});

}  // namespace dblocks::memory
