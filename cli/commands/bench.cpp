// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench_peers.h"
#include "cli/bench_shapes.h"
#include "cli/bench_table.h"
#include "cli/command.h"
#include "cli/machine.h"
#include "cli/output.h"
#include "cli/run_context.h"
#include "dblocks/memory/disk_probe.h"
#include "dblocks/memory/step_work.h"
#include "dblocks/train/machine_probe.h"
#include "dblocks/train/precision.h"
#include "dblocks/train/step_plan.h"
#include "dblocks/train/step_probe.h"

namespace dblocks::cli {
namespace {

using Json = nlohmann::ordered_json;

struct BenchArguments {
  std::string out;
  std::string folder = ".";
  std::string peers;
  std::vector<std::string> shapes;
  bool is_quick = false;
};

/// One line on standard error about what is being measured, redrawn in place on
/// a terminal.
class Stage {
 public:
  ~Stage() { wipe(); }
  void say(const std::string& what) const {
    wipe();
    std::fprintf(stderr, is_terminal_ ? "measuring %s" : "measuring %s\n",
                 what.c_str());
    std::fflush(stderr);
  }
  void wipe() const {
    if (is_terminal_) {
      std::fputs("\r\033[K", stderr);
    }
  }

 private:
  bool is_terminal_ = isatty(STDERR_FILENO) != 0;
};

/// The measured limits.
struct Limits {
  train::MatmulPeak fp32, bf16;
  Spread memory;
  memory::DiskRates disk;
  std::optional<train::LinkRates> link;

  memory::MachineRates rates(bool is_bf16) const {
    return {.matmul_flops = (is_bf16 ? bf16 : fp32).flops_per_second.median,
            .memory_bytes = memory.median,
            .state_in_bytes = link ? link->to_device.median : disk.read.median,
            .state_out_bytes = link ? link->to_host.median : disk.write.median};
  }
};

train::Repeats repeats_of(bool is_quick, double seconds) {
  return is_quick ? train::Repeats{.least = 3, .most = 20, .seconds = 0.3}
                  : train::Repeats{.least = 5, .seconds = seconds};
}

/// Raises the peaks of matrix products to what they are now. Done before and
/// after the steps, so that a slow moment at the start does not count.
void measure_peaks(bool is_quick,
                   at::Device device,
                   Limits& limits,
                   Stage& stage) {
  std::vector<int64_t> sizes = {512, 1024};
  if (!device.is_cpu()) {
    sizes = {2048, 4096, 8192};
  } else if (!is_quick) {
    sizes.push_back(2048);
  }
  for (const bool is_bf16 : {false, true}) {
    stage.say(fmt::format("matrix products in {}", is_bf16 ? "bf16" : "fp32"));
    const train::MatmulPeak peak =
        train::measure_matmul(is_bf16 ? at::kBFloat16 : at::kFloat, device,
                              sizes, repeats_of(is_quick, 1));
    train::MatmulPeak& best = is_bf16 ? limits.bf16 : limits.fp32;
    if (peak.flops_per_second.median > best.flops_per_second.median) {
      best = peak;
    }
  }
}

Limits measure_limits(const BenchArguments& arguments,
                      at::Device device,
                      Stage& stage) {
  const bool is_quick = arguments.is_quick;
  const train::Repeats repeats = repeats_of(is_quick, 1);
  const int64_t copied = int64_t{is_quick ? 128 : 512} << 20;
  Limits limits;
  measure_peaks(is_quick, device, limits, stage);
  stage.say("memory");
  limits.memory = train::measure_copy(device, copied, repeats);
  limits.link = train::measure_link(device, copied, repeats);
  stage.say("the disk");
  limits.disk = memory::measure_disk(
      arguments.folder, {.file_bytes = size_t{is_quick ? 64u : 512u} << 20});
  return limits;
}

Json spread_json(const Spread& spread) {
  return {{"median", spread.median},
          {"min", spread.min},
          {"max", spread.max},
          {"runs", spread.runs}};
}

Json matmul_json(const train::MatmulPeak& peak) {
  return {{"size", peak.size},
          {"flops_per_second", spread_json(peak.flops_per_second)}};
}

Json limits_json(const Limits& limits, const std::string& folder) {
  Json json{{"matmul",
             {{"fp32", matmul_json(limits.fp32)},
              {"bf16", matmul_json(limits.bf16)}}},
            {"memory", spread_json(limits.memory)},
            {"link", nullptr},
            {"disk",
             {{"folder", std::filesystem::absolute(folder).string()},
              {"past_cache", limits.disk.past_cache},
              {"write", spread_json(limits.disk.write)},
              {"read", spread_json(limits.disk.read)}}}};
  if (limits.link) {
    json["link"] = {{"to_device", spread_json(limits.link->to_device)},
                    {"to_host", spread_json(limits.link->to_host)}};
  }
  return json;
}

Json machine_json(at::Device device) {
  const CpuFacts cpu = cpu_facts();
  Json json{{"cpu", cpu.model},
            {"cores", cpu.num_cores},
            {"threads", at::get_num_threads()},
            {"features", cpu.features},
            {"memory_bytes", memory_facts().total_bytes},
            {"device", device.str()},
            {"gpu", nullptr}};
  if (!device.is_cpu()) {
    const CudaFacts cuda = cuda_facts();
    const size_t index = static_cast<unsigned char>(device.index());
    json["gpu"] = index < cuda.devices.size() ? cuda.devices[index] : "?";
  }
  return json;
}

Json roofline_json(const memory::Roofline& roofline,
                   double step_seconds,
                   bool on_cpu) {
  const char* bound = roofline.is_matmul_bound() ? "matmul" : "memory";
  const char* tier = on_cpu ? "disk" : "link";
  return {{"matmul_seconds", roofline.matmul_seconds},
          {"memory_seconds", roofline.memory_seconds},
          {"bound", bound},
          {"share_of_bound", roofline.seconds() / step_seconds},
          {"tier", tier},
          {"move_seconds", roofline.move_seconds},
          {"steps_to_hide", roofline.steps_to_hide(step_seconds)},
          {"bound_of_one_step_visits",
           roofline.move_seconds > step_seconds ? tier : bound}};
}

/// Seconds as JSON; null where they were not measured.
Json optional_json(const std::optional<double>& seconds) {
  return seconds ? Json(*seconds) : Json(nullptr);
}

/// A step as it was measured, and by the peer.
struct MeasuredStep {
  BenchShape shape;
  train::StepTime time;
  Json peer;
};

Json step_json(const MeasuredStep& measured,
               const Limits& limits,
               bool on_cpu) {
  const auto& [shape, time, peer] = measured;
  const train::RunSetup& setup = shape.setup;
  const bool is_bf16 = setup.task.shape.compute == at::kBFloat16;
  const memory::StepShape step = train::step_shape(setup);
  const memory::UnitShape unit = train::unit_shapes(setup).front();
  const memory::StepWork work = memory::work_of(step, unit);
  const memory::MachineRates rates = limits.rates(is_bf16);
  const double seconds = time.seconds.median;
  const double rate = work.useful_flops() / seconds;
  std::optional<double> backward;
  if (time.forward_seconds) {
    backward = std::max(
        0.0, seconds - *time.forward_seconds - *time.optimizer_seconds);
  }
  return {
      {"name", shape.name},
      {"title", shape.title},
      {"precision", is_bf16 ? "bf16" : "fp32"},
      {"batch", step.batch_size},
      {"tokens", step.tokens},
      {"width", step.width},
      {"mlp_width", step.mlp_width},
      {"layers", unit.num_layers},
      {"parameters", time.num_parameters},
      {"seconds", spread_json(time.seconds)},
      {"forward_seconds", optional_json(time.forward_seconds)},
      {"backward_seconds", optional_json(backward)},
      {"optimizer_seconds", optional_json(time.optimizer_seconds)},
      {"useful_flops", work.useful_flops()},
      {"useful_flops_per_second", rate},
      {"share_of_matmul", rate / rates.matmul_flops},
      {"moved_bytes", work.moved_bytes()},
      {"state_bytes", time.state_bytes},
      {"peak_tensor_bytes", time.peak_bytes},
      {"is_recorded", time.is_recorded},
      {"roofline",
       roofline_json(memory::roofline_of(
                         work, static_cast<double>(time.state_bytes), rates),
                     seconds, on_cpu)},
      {"peer", peer}};
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

std::vector<MeasuredStep> measure_steps(const BenchArguments& arguments,
                                        const CommonFlags& flags,
                                        at::Device device,
                                        Stage& stage) {
  // A CPU without instructions for bf16 takes a minute for a step in it: one
  // says so.
  const bool has_bf16 = !device.is_cpu() || train::cpu_has_bf16_instructions();
  std::vector<MeasuredStep> steps;
  for (const std::string& name : arguments.shapes) {
    for (const std::string precision : {"fp32", "bf16"}) {
      BenchShape shape = bench_shape(name, device.is_cpu(), arguments.is_quick);
      shape.setup.task.shape.compute =
          precision == "fp32" ? at::kFloat : at::kBFloat16;
      train::Repeats repeats = repeats_of(arguments.is_quick, 3);
      PeerOptions peers{.python = arguments.peers,
                        .flags = flags,
                        .warmup = arguments.is_quick ? 1 : 2,
                        .steps = arguments.is_quick ? 3 : 5};
      if (precision == "bf16" && !has_bf16) {
        repeats = {.warmup = 0, .least = 1, .seconds = 0};
        peers.warmup = 0;
        peers.steps = 1;
      }
      stage.say(fmt::format("{} in {}", shape.title, precision));
      const train::StepTime time =
          train::measure_step_time(shape.setup, 0, device, repeats);
      Json peer;
      if (!arguments.peers.empty()) {
        stage.say(fmt::format("{} in {} in PyTorch", shape.title, precision));
        peer = run_peer(peers, shape, precision);
      }
      steps.push_back({std::move(shape), time, std::move(peer)});
    }
  }
  return steps;
}

ExitCode bench(const CommonFlags& flags, BenchArguments arguments) {
  prepare_process(flags);
  const at::Device device = open_device(flags);
  if (arguments.shapes.empty()) {
    arguments.shapes = bench_shape_names();
    arguments.shapes.pop_back();  // tiny
  }
  Json report{{"dblocks", DBLOCKS_VERSION},
              {"libtorch", DBLOCKS_TORCH_VERSION},
              {"date", today()},
              {"quick", arguments.is_quick},
              {"machine", machine_json(device)}};
  {
    Stage stage;
    Limits limits = measure_limits(arguments, device, stage);
    const std::vector<MeasuredStep> steps =
        measure_steps(arguments, flags, device, stage);
    measure_peaks(arguments.is_quick, device, limits, stage);
    report["limits"] = limits_json(limits, arguments.folder);
    report["steps"] = Json::array();
    for (const MeasuredStep& step : steps) {
      report["steps"].push_back(step_json(step, limits, device.is_cpu()));
    }
  }
  if (!arguments.out.empty()) {
    replace_file(arguments.out, report.dump(2) + "\n");
  }
  if (flags.json) {
    print_line(report.dump(2));
    return ExitCode::kDone;
  }
  for (const std::string& line : bench_lines(report)) {
    print_line(line);
  }
  return ExitCode::kDone;
}

}  // namespace

void add_bench(CLI::App& app, CommonFlags& flags, Action& action) {
  auto arguments = std::make_shared<BenchArguments>();
  CLI::App* verb = app.add_subcommand(
      "bench", "Measure this machine's limits and how near steps come to them");
  verb->add_flag("--quick", arguments->is_quick,
                 "Few runs of small batches: rough figures in a third of the "
                 "time");
  verb->add_option("--shape", arguments->shapes,
                   "Step to take, may be repeated; all but tiny without it")
      ->check(CLI::IsMember(bench_shape_names()))
      ->allow_extra_args(false);
  verb->add_option("--dir", arguments->folder,
                   "Folder on the disk to measure; takes half a GB meanwhile")
      ->check(CLI::ExistingDirectory)
      ->capture_default_str();
  verb->add_option("--peers", arguments->peers,
                   "Python with torch: the same steps in plain PyTorch");
  verb->add_option("--out", arguments->out, "File that the JSON is kept in");
  add_common_flags(*verb, flags);
  add_json_flag(*verb, flags);
  verb->callback([arguments, &flags, &action] {
    action = [arguments, &flags] { return bench(flags, *arguments); };
  });
}

}  // namespace dblocks::cli
