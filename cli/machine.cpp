// SPDX-License-Identifier: Apache-2.0
#include "cli/machine.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <system_error>

namespace dblocks::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kChunkBytes = 1 << 20;
constexpr int kMaxChunks = 16;
constexpr double kMaxWriteSeconds = 0.5;

/// What follows `key`, spaces and a separator in a line of `file`.
std::string value_of(const fs::path& file, std::string_view key, char sign) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const size_t at = line.find(sign);
    if (line.starts_with(key) && at != std::string::npos &&
        line.find_first_not_of(" \t", key.size()) == at) {
      const size_t start = line.find_first_not_of(" \t", at + 1);
      return start == std::string::npos ? "" : line.substr(start);
    }
  }
  return "";
}

std::optional<int64_t> number_in(const fs::path& file) {
  std::ifstream in(file);
  int64_t number = 0;
  return in >> number ? std::optional(number) : std::nullopt;
}

int64_t meminfo_bytes(std::string_view key) {
  return std::atoll(value_of("/proc/meminfo", key, ':').c_str()) * 1024;
}

/// The folders of this process's memory groups, the closest first.
std::vector<fs::path> memory_groups() {
  std::vector<fs::path> groups;
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const size_t second = line.rfind(':');
    const bool is_v2 = line.starts_with("0::");
    if (second == std::string::npos ||
        (!is_v2 && line.find(":memory:") == std::string::npos)) {
      continue;
    }
    const fs::path root = is_v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    fs::path group = line.substr(second + 1);
    for (; group.has_relative_path(); group = group.parent_path()) {
      groups.push_back(root / group.relative_path());
    }
    groups.push_back(root);
  }
  return groups;
}

int64_t reclaimable_bytes(const fs::path& group) {
  std::ifstream in(group / "memory.stat");
  std::string key;
  for (int64_t value = 0; in >> key >> value;) {
    if (key == "inactive_file" || key == "total_inactive_file") {
      return value;
    }
  }
  return 0;
}

/// Asks the CUDA driver itself, through the few functions needed.
class Driver {
 public:
  Driver() : library_(dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL)) {}

  bool is_there() const { return library_ != nullptr; }

  template <class... Arguments>
  int call(const char* name, Arguments... arguments) const {
    using Function = int (*)(Arguments...);
    const auto function = reinterpret_cast<Function>(dlsym(library_, name));
    return function == nullptr ? -1 : function(arguments...);
  }

 private:
  void* library_;  // stays open: the driver does not unload cleanly
};

bool has_nvidia_hardware() {
  std::error_code error;
  for (const auto& device :
       fs::directory_iterator("/sys/bus/pci/devices", error)) {
    std::string vendor;
    std::ifstream(device.path() / "vendor") >> vendor;
    if (vendor == "0x10de") {
      return true;
    }
  }
  return false;
}

std::string package_version(const fs::path& environment,
                            const std::string& package) {
  std::error_code error;
  for (const auto& python :
       fs::directory_iterator(environment / "lib", error)) {
    for (const auto& entry :
         fs::directory_iterator(python.path() / "site-packages", error)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(package + "-") && name.ends_with(".dist-info")) {
        const size_t start = package.size() + 1;
        return name.substr(start, name.rfind(".dist-info") - start);
      }
    }
  }
  return "";
}

/// Measures the rate of writing into an open file.
void measure_writing(int file, DiskFacts& facts) {
  using Clock = std::chrono::steady_clock;
  const std::string chunk(kChunkBytes, 'x');
  const Clock::time_point start = Clock::now();
  double seconds = 0;
  int64_t bytes = 0;
  for (int i = 0; i < kMaxChunks && seconds < kMaxWriteSeconds; ++i) {
    if (::write(file, chunk.data(), chunk.size()) !=
            static_cast<ssize_t>(chunk.size()) ||
        ::fsync(file) != 0) {
      facts.error = std::generic_category().message(errno);
      return;
    }
    bytes += static_cast<int64_t>(chunk.size());
    seconds = std::chrono::duration<double>(Clock::now() - start).count();
  }
  facts.write_bytes_per_second = static_cast<double>(bytes) / seconds;
}

}  // namespace

CpuFacts cpu_facts() {
  CpuFacts facts{.model = value_of("/proc/cpuinfo", "model name", ':')};
  std::istringstream flags(value_of("/proc/cpuinfo", "flags", ':'));
  std::set<std::string> known;
  for (std::string flag; flags >> flag;) {
    known.insert(flag);
  }
  for (const char* name : {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}) {
    facts.features[name] = known.contains(name);
  }
  cpu_set_t set;
  facts.num_cores = sched_getaffinity(0, sizeof(set), &set) == 0
                        ? CPU_COUNT(&set)
                        : sysconf(_SC_NPROCESSORS_ONLN);
  return facts;
}

MemoryFacts memory_facts() {
  MemoryFacts facts{.total_bytes = meminfo_bytes("MemTotal"),
                    .free_bytes = meminfo_bytes("MemAvailable")};
  for (const fs::path& group : memory_groups()) {
    auto limit = number_in(group / "memory.max");
    auto used = number_in(group / "memory.current");
    if (!limit) {
      limit = number_in(group / "memory.limit_in_bytes");
      used = number_in(group / "memory.usage_in_bytes");
    }
    // Without a limit the old kind of group gives a huge number.
    if (limit && used && *limit < facts.total_bytes) {
      const int64_t free = *limit - (*used - reclaimable_bytes(group));
      facts.free_bytes = std::clamp<int64_t>(free, 0, facts.free_bytes);
      facts.cgroup_limit_bytes =
          std::min(facts.cgroup_limit_bytes.value_or(*limit), *limit);
    }
  }
  return facts;
}

DiskFacts disk_facts(const fs::path& folder) {
  std::error_code error;
  DiskFacts facts{.folder = fs::absolute(folder, error).lexically_normal()};
  if (!facts.folder.has_filename()) {
    facts.folder = facts.folder.parent_path();  // "a/." has become "a/"
  }
  while (!fs::is_directory(facts.folder, error) &&
         facts.folder.has_relative_path()) {
    facts.folder = facts.folder.parent_path();
  }
  struct statvfs space {};
  if (::statvfs(facts.folder.c_str(), &space) == 0) {
    facts.free_bytes = static_cast<int64_t>(space.f_bavail) *
                       static_cast<int64_t>(space.f_frsize);
  }
  std::string name = (facts.folder / ".dblocks-doctor-XXXXXX").string();
  const int file = ::mkstemp(name.data());
  if (file < 0) {
    facts.error = std::generic_category().message(errno);
    return facts;
  }
  ::unlink(name.c_str());  // at once, so that nothing is ever left behind
  measure_writing(file, facts);
  ::close(file);
  return facts;
}

CudaFacts cuda_facts() {
  CudaFacts facts{.has_hardware = has_nvidia_hardware()};
  const Driver driver;
  if (!driver.is_there()) {
    facts.error = facts.has_hardware ? "no NVIDIA driver (libcuda.so.1)"
                                     : "no NVIDIA device";
    return facts;
  }
  int version = 0, count = 0;
  if (driver.call("cuDriverGetVersion", &version) == 0) {
    facts.driver = fmt::format("{}.{}", version / 1000, version % 1000 / 10);
  }
  if (const int code = driver.call("cuInit", 0u); code != 0) {
    facts.error = fmt::format("the driver does not start (error {})", code);
    return facts;
  }
  driver.call("cuDeviceGetCount", &count);
  for (int i = 0; i < count; ++i) {
    char name[256] = "?";
    driver.call("cuDeviceGetName", name, static_cast<int>(sizeof(name)), i);
    facts.devices.emplace_back(name);
  }
  facts.error = count == 0 ? "the driver has no device" : "";
  return facts;
}

PythonFacts python_facts(const std::vector<std::string>& packages) {
  std::error_code error;
  std::vector<fs::path> places;
  if (const char* active = std::getenv("VIRTUAL_ENV")) {
    places.emplace_back(active);
  }
  places.push_back(fs::current_path(error) / ".venv");
  // build/bin/dblocks-engine lies two folders below the source tree.
  const fs::path home = fs::read_symlink("/proc/self/exe", error).parent_path();
  places.push_back(home.parent_path().parent_path() / ".venv");
  PythonFacts facts;
  for (const fs::path& place : places) {
    if (!fs::exists(place / "bin/python", error)) {
      continue;
    }
    facts.environment = place;
    facts.version = value_of(place / "pyvenv.cfg", "version", '=');
    for (const std::string& package : packages) {
      const std::string version = package_version(place, package);
      if (!version.empty()) {
        facts.packages[package] = version;
      }
    }
    break;
  }
  return facts;
}

}  // namespace dblocks::cli
