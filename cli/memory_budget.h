// SPDX-License-Identifier: Apache-2.0
// The flags --memory SIZE and --host-memory SIZE: what a run may take, and how
// it then lies in memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dblocks/memory/paging_plan.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::cli {

/// "8GiB", "500 MB", "1.5G": a number with a power of 1024 (K, KiB) or, with
/// B behind the letter, of 1000 (KB). `flag` is named in errors.
/// *Errors*: ConfigError.
int64_t read_memory_flag(const std::string& text,
                         std::string_view flag = "--memory");

/// Host memory for the states of blocks that wait there: what --host-memory
/// says, or with "" 60 % of what is free. *Errors*: ConfigError.
int64_t read_host_memory_flag(const std::string& text);

/// *Errors*: ConfigError unless --host-memory is empty or the device is one
/// that has memory of its own.
void check_host_memory_flag(const std::string& text, std::string_view device);

/// How the run lies in `budget_bytes` of memory for the whole process. What the
/// process takes now, its recipe and data open, counts as the program.
memory::PagingPlan plan_within(const train::RunSetup& setup,
                               int64_t budget_bytes);

/// *Errors*: DeviceError with all the numbers if not even one block fits.
void check_fits(const memory::PagingPlan& plan, std::string_view where);

/// How a run lies in the memory of a device that is not the CPU, in host memory
/// and on disk.
struct DevicePlan {
  memory::PagingPlan device;    ///< of the budget; its program takes nothing
  int64_t num_slots = 0;        ///< states on the device, at most 2
  int64_t num_host_arenas = 0;  ///< states in host memory

  /// Of tensors on the device.
  int64_t peak_bytes() const;
  /// Of the page files: each block has one unless host memory holds them all.
  int64_t disk_bytes() const;
};

/// `device_bytes`: for tensors on the device; `host_bytes`: for states in host
/// memory, which takes one at least.
DevicePlan plan_on_device(const train::RunSetup& setup,
                          int64_t device_bytes,
                          int64_t host_bytes);
std::string describe(const DevicePlan& plan);

/// A few lines for people: what is in memory, what is paged where, the peak.
std::string describe(const memory::PagingPlan& plan);

}  // namespace dblocks::cli
