// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gnu/libc-version.h>
#include <torch/version.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/command.h"
#include "cli/machine.h"
#include "cli/output.h"
#include "cli/run_context.h"
#include "dblocks/data/search.h"
#include "dblocks/train/precision.h"

namespace dblocks::cli {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

enum class Status {
  kOk,
  kMissing,  ///< training on a CPU works without it
  kBad,      ///< training on a CPU does not work
};

/// One thing looked at.
struct Check {
  std::string name;
  Status status = Status::kOk;
  std::string found;
  std::string fix;  ///< a command or what else to do; "" where all is well
  Json values = Json::object();
};

constexpr int64_t kLeastMemoryBytes = int64_t{512} << 20;
constexpr int64_t kLeastDiskBytes = int64_t{256} << 20;
constexpr int64_t kMatmulSize = 512;
constexpr const char* kTensorBoard = "tensorboard==2.21.0";

Check check_versions() {
  const std::string compiler = fmt::format(
#if defined(__clang__)
      "Clang {}"
#else
      "GCC {}"
#endif
      ,
      std::string_view(__VERSION__)
          .substr(0, std::string_view(__VERSION__).find(' ')));
  const std::string libc = gnu_get_libc_version();
  return {.name = "program",
          .found = fmt::format("dblocks {}, LibTorch {}, {}, glibc {}",
                               DBLOCKS_VERSION, TORCH_VERSION, compiler, libc),
          .values = {{"dblocks", DBLOCKS_VERSION},
                     {"libtorch", TORCH_VERSION},
                     {"compiler", compiler},
                     {"glibc", libc}}};
}

Check check_cpu() {
  const CpuFacts cpu = cpu_facts();
  std::vector<std::string> present, absent;
  for (const auto& [name, is_there] : cpu.features) {
    (is_there ? present : absent).push_back(name);
  }
  Check check{
      .name = "cpu",
      .found = fmt::format("{}, {} core{}", cpu.model.empty() ? "?" : cpu.model,
                           cpu.num_cores, cpu.num_cores == 1 ? "" : "s"),
      .values = {{"model", cpu.model},
                 {"cores", cpu.num_cores},
                 {"features", cpu.features}}};
  if (!present.empty()) {
    check.found += fmt::format(", {}", fmt::join(present, " "));
  }
  if (!absent.empty()) {
    check.found += fmt::format(" (no {})", fmt::join(absent, ", "));
  }
  return check;
}

Check check_speed() {
  const double fp32 = train::matmul_gflops(at::kFloat, at::kCPU, kMatmulSize);
  const double bf16 =
      train::matmul_gflops(at::kBFloat16, at::kCPU, kMatmulSize);
  const int threads = at::get_num_threads();
  return {
      .name = "speed",
      .found = fmt::format(
          "matmul {:.0f} GFLOP/s in fp32, {:.0f} in bf16, {} thread{}", fp32,
          bf16, threads, threads == 1 ? "" : "s"),
      .values = {
          {"fp32_gflops", fp32}, {"bf16_gflops", bf16}, {"threads", threads}}};
}

Check check_memory() {
  const MemoryFacts memory = memory_facts();
  Check check{
      .name = "memory",
      .found = fmt::format("{} free of {}", format_bytes(memory.free_bytes),
                           format_bytes(memory.total_bytes)),
      .values = {{"free_bytes", memory.free_bytes},
                 {"total_bytes", memory.total_bytes},
                 {"cgroup_limit_bytes", nullptr}}};
  if (memory.cgroup_limit_bytes) {
    check.found += fmt::format(", limited to {} by its cgroup",
                               format_bytes(*memory.cgroup_limit_bytes));
    check.values["cgroup_limit_bytes"] = *memory.cgroup_limit_bytes;
  }
  if (memory.free_bytes < kLeastMemoryBytes) {
    check.status = Status::kBad;
    check.fix = fmt::format("close other programs: training takes {} and more",
                            format_bytes(kLeastMemoryBytes));
  }
  return check;
}

Check check_disk(const fs::path& folder) {
  const DiskFacts disk = disk_facts(folder);
  Check check{
      .name = "disk",
      .found = fmt::format("{} free in {}", format_bytes(disk.free_bytes),
                           disk.folder.string()),
      .values = {{"folder", disk.folder.string()},
                 {"free_bytes", disk.free_bytes},
                 {"write_bytes_per_second", disk.write_bytes_per_second}}};
  if (!disk.error.empty()) {
    check.status = Status::kBad;
    check.found += ", not writable: " + disk.error;
    check.fix = "name another folder: dblocks doctor --out FOLDER";
  } else {
    check.found +=
        fmt::format(", {:.0f} MiB/s written and synced",
                    disk.write_bytes_per_second / static_cast<double>(1 << 20));
  }
  if (disk.error.empty() && disk.free_bytes < kLeastDiskBytes) {
    check.status = Status::kBad;
    check.fix = fmt::format("make room: a run takes {} and more",
                            format_bytes(kLeastDiskBytes));
  }
  return check;
}

/// Whether LibTorch's CUDA half lies beside the half that is loaded.
bool has_cuda_libtorch() {
  Dl_info info{};
  std::error_code error;
  return dladdr(reinterpret_cast<const void*>(&at::get_num_threads), &info) !=
             0 &&
         fs::exists(fs::path(info.dli_fname).parent_path() / "libtorch_cuda.so",
                    error);
}

Check check_cuda() {
  const CudaFacts cuda = cuda_facts();
  const bool has_libtorch = has_cuda_libtorch();
  Check check{.name = "cuda",
              .values = {{"driver", cuda.driver},
                         {"devices", cuda.devices},
                         {"libtorch", has_libtorch}}};
  if (!cuda.error.empty()) {
    check.status = Status::kMissing;
    check.found = cuda.error + "; only --device cuda needs one";
    if (cuda.has_hardware) {
      check.fix = "apt-get install nvidia-driver";
    }
    return check;
  }
  check.found = fmt::format("driver for CUDA {}, {}", cuda.driver,
                            fmt::join(cuda.devices, ", "));
  if (!has_libtorch) {
    check.status = Status::kMissing;
    check.found += "; LibTorch's CUDA half is not installed";
    check.fix = "tools/setup.sh --cuda";
  }
  return check;
}

std::vector<Check> check_data() {
  std::vector<Check> checks;
  for (const data::SearchRecipe& recipe : data::known_datasets()) {
    Check check{.name = "data", .values = {{"dataset", recipe.dataset}}};
    try {
      const fs::path folder = data::find_dataset("", recipe);
      check.found = fmt::format("{} in {}", recipe.dataset, folder.string());
      check.values["folder"] = folder.string();
    } catch (const DataError&) {
      check.status = Status::kMissing;
      check.found = recipe.dataset + " not found";
      check.fix = recipe.hint;
      check.values["folder"] = nullptr;
    }
    checks.push_back(std::move(check));
  }
  return checks;
}

std::vector<Check> check_python() {
  const PythonFacts python = python_facts({"torch", "tensorboard"});
  Check environment{.name = "python",
                    .found = fmt::format("{} in {}", python.version,
                                         python.environment.string()),
                    .values = {{"environment", python.environment.string()},
                               {"version", python.version},
                               {"packages", python.packages}}};
  const bool has_environment = !python.environment.empty();
  if (!has_environment) {
    environment.status = Status::kMissing;
    environment.found = "no virtual environment; only building needs one";
    environment.fix = "python3 -m venv .venv";
  }
  Check board{.name = "tensorboard", .values = {{"version", nullptr}}};
  const auto version = python.packages.find("tensorboard");
  if (version != python.packages.end()) {
    board.found = version->second + ", start it with: tensorboard --logdir RUN";
    board.values["version"] = version->second;
  } else {
    board.status = Status::kMissing;
    board.found = "not found; only looking at event files needs it";
    const std::string home =
        has_environment ? python.environment.string() : ".venv";
    board.fix =
        (has_environment ? "" : "python3 -m venv .venv && ") +
        fmt::format("{}/bin/python -m pip install {}", home, kTensorBoard);
  }
  return {environment, board};
}

const char* status_name(Status status) {
  return status == Status::kOk        ? "ok"
         : status == Status::kMissing ? "missing"
                                      : "bad";
}

/// Prints `text` from column `indent` on, broken between words.
void print_wrapped(const std::string& first,
                   const std::string& text,
                   size_t indent) {
  constexpr size_t kColumns = 79;
  std::string line = first;
  bool is_empty = true;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (!is_empty && line.size() + 1 + word.size() > kColumns) {
      print_line(line);
      line.assign(indent, ' ');
      is_empty = true;
    }
    line += (is_empty ? "" : " ") + word;
    is_empty = false;
  }
  print_line(line);
}

void print_check(const Check& check) {
  constexpr size_t kIndent = 22;
  print_wrapped(
      fmt::format("{:<7}  {:<11}  ", status_name(check.status), check.name),
      check.found, kIndent);
  if (!check.fix.empty()) {
    print_wrapped(std::string(kIndent, ' '), "-> " + check.fix, kIndent + 3);
  }
}

ExitCode doctor(const CommonFlags& flags, const std::string& out) {
  std::vector<Check> checks = {check_versions(), check_cpu(),     check_speed(),
                               check_memory(),   check_disk(out), check_cuda()};
  for (const auto& more : {check_data(), check_python()}) {
    checks.insert(checks.end(), more.begin(), more.end());
  }
  int64_t num_bad = 0, num_missing = 0;
  Json json{{"works", true}, {"checks", Json::array()}};
  for (const Check& check : checks) {
    num_bad += check.status == Status::kBad;
    num_missing += check.status == Status::kMissing;
    json["checks"].push_back({{"name", check.name},
                              {"status", status_name(check.status)},
                              {"found", check.found},
                              {"fix", check.fix},
                              {"values", check.values}});
  }
  json["works"] = num_bad == 0;
  if (flags.json) {
    print_line(json.dump(2));
  } else {
    for (const Check& check : checks) {
      print_check(check);
    }
    print_line(num_bad > 0
                   ? fmt::format("\ntraining does not work here: see the {} "
                                 "line{} marked bad",
                                 num_bad, num_bad == 1 ? "" : "s")
                   : fmt::format("\ntraining on the CPU works; {} optional "
                                 "thing{} missing",
                                 num_missing,
                                 num_missing == 1 ? " is" : "s are"));
  }
  return num_bad == 0 ? ExitCode::kDone : ExitCode::kDevice;
}

}  // namespace

void add_doctor(CLI::App& app, CommonFlags& flags, Action& action) {
  auto out = std::make_shared<std::string>(".");
  CLI::App* verb = app.add_subcommand(
      "doctor", "Look at this machine and say what is missing");
  verb->add_option("--out", *out, "Folder that runs will be written to")
      ->capture_default_str();
  add_verbose_flag(*verb, flags);
  add_json_flag(*verb, flags);
  verb->callback([out, &flags, &action] {
    action = [out, &flags] { return doctor(flags, *out); };
  });
}

}  // namespace dblocks::cli
