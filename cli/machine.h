// SPDX-License-Identifier: Apache-2.0
// What the machine has, asked of the system. Nothing here needs LibTorch, and
// nothing throws: what the system does not say is left at its default.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace dblocks::cli {

struct CpuFacts {
  std::string model;
  int64_t num_cores = 0;  ///< that this process may use
  /// Instruction sets that speed training up, and whether they are there.
  std::map<std::string, bool> features;
};
CpuFacts cpu_facts();

struct MemoryFacts {
  int64_t total_bytes = 0;
  int64_t free_bytes = 0;  ///< what this process may still take
  std::optional<int64_t> cgroup_limit_bytes;
};
MemoryFacts memory_facts();

struct DiskFacts {
  std::filesystem::path folder;  ///< the nearest one that exists
  int64_t free_bytes = 0;
  double write_bytes_per_second = 0;  ///< until it is on the disk (fsync)
  std::string error;                  ///< empty if files can be written there
};
/// Writes and removes at most 16 MiB.
DiskFacts disk_facts(const std::filesystem::path& folder);

struct CudaFacts {
  bool has_hardware = false;  ///< some device on the bus is NVIDIA's
  std::string driver;         ///< CUDA version that the driver serves; or ""
  std::vector<std::string> devices;
  std::string error;  ///< why there is no device
};
CudaFacts cuda_facts();

struct PythonFacts {
  std::filesystem::path environment;  ///< empty: none found
  std::string version;
  /// Versions of packages, by name; those that are missing are left out.
  std::map<std::string, std::string> packages;
};
/// Looks at $VIRTUAL_ENV, ./.venv and the .venv of the source tree.
PythonFacts python_facts(const std::vector<std::string>& packages);

}  // namespace dblocks::cli
