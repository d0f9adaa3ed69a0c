// SPDX-License-Identifier: Apache-2.0
#include "cli/environment.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <torch/version.h>

#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/output.h"
#include "dblocks/core/error.h"
#include "dblocks/core/file_system.h"

namespace dblocks::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kMaxFileBytes = 1 << 20;

/// Name of the processor as Linux tells it.
std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown";
}

std::string system_name() {
  utsname names{};
  return uname(&names) == 0 ? fmt::format("{} {} {}", names.sysname,
                                          names.release, names.machine)
                            : "unknown";
}

}  // namespace

std::vector<report::NamedValue> environment_facts() {
  return {{"dblocks", DBLOCKS_VERSION},
          {"LibTorch", TORCH_VERSION},
          {"processor", processor()},
          {"vector instructions", at::get_cpu_capability()},
          {"threads", std::to_string(at::get_num_threads())},
          {"system", system_name()},
          {"date", fmt::format("{:%Y-%m-%d %H:%M} UTC",
                               fmt::gmtime(std::time(nullptr)))}};
}

void write_environment(const std::filesystem::path& file) {
  Json json = Json::object();
  for (const report::NamedValue& fact : environment_facts()) {
    json[fact.name] = fact.value;
  }
  replace_file(file, json.dump(2, ' ', false, Json::error_handler_t::replace));
}

std::vector<report::NamedValue> read_environment(
    const std::filesystem::path& file) {
  std::vector<report::NamedValue> facts;
  FileSystem& disk = real_file_system();
  if (!disk.exists(file)) {
    return facts;
  }
  try {
    const Json json = Json::parse(disk.read_file(file, kMaxFileBytes));
    for (const auto& [name, value] : json.items()) {
      facts.push_back({name, value.get<std::string>()});
    }
  } catch (const Json::exception& error) {
    throw CheckpointError(
        fmt::format("[environment] {}: expected an object of strings, found: "
                    "{}. Hint: remove the file, nothing depends on it",
                    file.string(), error.what()));
  }
  return facts;
}

}  // namespace dblocks::cli
