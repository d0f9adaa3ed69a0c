// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>

#include "cli/command.h"
#include "cli/environment.h"
#include "cli/machine.h"
#include "cli/memory_budget.h"
#include "cli/output.h"
#include "cli/previews.h"
#include "cli/run_context.h"
#include "cli/run_data.h"
#include "cli/signals.h"
#include "cli/train_progress.h"
#include "dblocks/config/dump.h"
#include "dblocks/config/fingerprint.h"
#include "dblocks/core/file_system.h"
#include "dblocks/memory/meter.h"
#include "dblocks/report/progress.h"
#include "dblocks/train/trainer.h"

namespace dblocks::cli {
namespace {

struct TrainArguments {
  std::string recipe;
  std::string out;
  std::vector<std::string> overrides;
  std::optional<int64_t> block;
  std::optional<int64_t> seed;
  std::string memory;
  std::string host_memory;
};

constexpr uint64_t kMaxRecipeBytes = 1 << 20;

/// Writes the recipe into a new run folder, or checks that the folder's own
/// recipe trains the same weights.
void claim_folder(const train::RunFolder& folder,
                  const std::filesystem::path& recipe,
                  const RunContext& context) {
  FileSystem& disk = real_file_system();
  if (disk.exists(folder.resolved())) {
    const config::LoadedConfig own = config::load_recipe(folder.resolved());
    for (const config::Difference& d :
         config::differences(own.config, context.loaded.config)) {
      throw ConfigError(fmt::format(
          "[train] {}: expected {} = {} as this run was started with, found "
          "{}. Hint: use another --out",
          folder.root().string(), d.key, d.first, d.second));
    }
    check_data_info(folder, context.data.train.info());
    return;
  }
  disk.make_folders(folder.root());
  keep_data_info(folder, context.data.train.info());
  disk.write_file(folder.recipe(), disk.read_file(recipe, kMaxRecipeBytes));
  write_environment(folder.root() / kEnvironmentName);
  // Written beside and renamed: a killed start leaves no half recipe behind.
  const std::filesystem::path temporary = folder.resolved().string() + ".tmp";
  disk.write_file(temporary, config::dump_toml(context.loaded));
  disk.rename(temporary, folder.resolved());
  disk.sync_folder(folder.root());
}

void print_summary(const RunContext& context,
                   const train::TrainResult& result,
                   double first_step_seconds) {
  if (first_step_seconds <= 0) {
    print_line("nothing left to train");
    return;
  }
  print_line(fmt::format(
      "trained: {:.0f} images/s, data wait {:.2f} %, first step {:.1f} s after "
      "the start, peak {} of tensors in memory",
      result.images_per_second, result.data_wait_share * 100,
      first_step_seconds, format_bytes(result.peak_tensor_bytes)));
  const auto rate = [](uint64_t bytes, double seconds) {
    constexpr double kGiga = 1e9;
    return seconds > 0 ? static_cast<double>(bytes) / seconds / kGiga : 0;
  };
  if (result.num_commits_waited > 0 && result.step_seconds > 0) {
    const double each =
        result.commit_seconds / static_cast<double>(result.num_commits_waited);
    print_line(fmt::format(
        "checkpoints: training stood still for {}, {:.3f} s each, {:.2f} steps",
        result.num_commits_waited, each, each / result.step_seconds));
  }
  const train::DeviceTraffic &in = result.to_device, &out = result.from_device;
  if (in.num_states + out.num_states > 0) {
    print_line(fmt::format(
        "states to the device: {} at {:.1f} GB/s, back {} at {:.1f} GB/s, "
        "waited for {:.2f} % of the time",
        format_bytes(static_cast<int64_t>(in.bytes)),
        rate(in.bytes, in.seconds),
        format_bytes(static_cast<int64_t>(out.bytes)),
        rate(out.bytes, out.seconds), result.paging_wait_share * 100));
  }
  const memory::PagerStats& paging = result.paging;
  if (paging.num_in + paging.num_out > 0) {
    print_line(fmt::format(
        "paging: {} in and {} out at {:.2f} GB/s, waited for {:.2f} % of the "
        "time",
        format_bytes(static_cast<int64_t>(paging.bytes_in)),
        format_bytes(static_cast<int64_t>(paging.bytes_out)),
        rate(paging.bytes_in + paging.bytes_out,
             paging.seconds_in + paging.seconds_out),
        result.paging_wait_share * 100));
  }
  print_line(fmt::format("peak of the process {}",
                         format_bytes(memory::process_peak_resident_bytes())));
  for (size_t unit = 0; unit < result.steps.size(); ++unit) {
    print_line(fmt::format("block {}: step {} of {}", unit, result.steps[unit],
                           context.setup.train.steps));
  }
}

/// Where blocks' states lie: on a device that is not the CPU two, if they fit
/// --memory or what is free, the others in host memory, as far as --host-memory
/// goes, and on disk. *Errors*: DeviceError if not one fits.
void place_on_device(const TrainArguments& arguments,
                     const RunContext& context,
                     train::TrainerOptions& options) {
  const std::string& memory = arguments.memory;
  const int64_t budget =
      memory.empty() ? free_bytes(options.device) : read_memory_flag(memory);
  const DevicePlan plan = plan_on_device(
      context.setup, budget, read_host_memory_flag(arguments.host_memory));
  check_fits(plan.device, "train");
  if (context.setup.train.schedule != train::TrainingSchedule::kSequential) {
    print_line(describe(plan));
  }
  options.num_arenas = plan.num_host_arenas;
  options.num_device_slots = plan.num_slots;
}

/// How many blocks' states fit into --memory; the memory kept for reuse is held
/// to what is left. *Errors*: DeviceError if not one fits.
int64_t arenas_within(const std::string& memory, const RunContext& context) {
  if (memory.empty()) {
    return 1;
  }
  const memory::PagingPlan plan =
      plan_within(context.setup, read_memory_flag(memory));
  check_fits(plan, "train");
  print_line(describe(plan));
  const auto program = static_cast<double>(plan.program_bytes);
  const double spare = (static_cast<double>(plan.budget_bytes) - program) /
                       (static_cast<double>(plan.peak_bytes) - program);
  memory::CachingPolicy caching;
  caching.limit_ratio = std::clamp(spare, 1.0, caching.limit_ratio);
  memory::install_cpu_meter(caching);
  return plan.num_arenas;
}

ExitCode train_run(const CommonFlags& flags, TrainArguments arguments) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  // First of all: a stop asked for while data loads must end as any other.
  const std::atomic<bool>& stop = stop_on_signals();
  prepare_process(flags);
  check_host_memory_flag(arguments.host_memory, flags.device);
  const at::Device device = open_device(flags);
  if (arguments.seed) {
    arguments.overrides.push_back(fmt::format("seed={}", *arguments.seed));
  }
  const RunContext context =
      open_recipe(arguments.recipe, arguments.overrides, device);
  if (arguments.block) {
    // Before anything is written, so that a refused start leaves no folder.
    train::check_trains_alone(context.setup, *arguments.block);
  }
  train::TrainerOptions options{
      .device = device, .only_unit = arguments.block, .stop = &stop};
  if (device.is_cpu()) {
    options.num_arenas = arenas_within(arguments.memory, context);
  } else {
    place_on_device(arguments, context, options);
  }
  const train::RunFolder folder(arguments.out);
  claim_folder(folder, arguments.recipe, context);

  TrainProgress board;
  // A process that trains one block knows nothing of the others.
  std::optional<Previews> previews;
  if (!arguments.block) {
    previews.emplace(context, folder, device);
  }
  double first_step_seconds = 0;
  options.on_progress = [&](const report::Progress& progress) {
    if (first_step_seconds == 0) {
      first_step_seconds =
          std::chrono::duration<double>(Clock::now() - start).count();
    }
    board.update(progress);
    if (previews) {
      previews->after_step(progress);
    }
  };
  train::Trainer trainer(context.setup, context.data.train, folder, options);
  board.set_blocks(context.setup, folder, trainer.steps_done(),
                   arguments.block);
  const train::TrainResult result = trainer.run();
  board.finish();
  print_summary(context, result, first_step_seconds);
  print_bad_samples(context.data.train, "training");
  if (result.is_interrupted) {
    print_line("stopped on request; the same command goes on from here");
    return ExitCode::kInterrupted;
  }
  return ExitCode::kDone;
}

}  // namespace

void add_train(CLI::App& app, CommonFlags& flags, Action& action) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* verb =
      app.add_subcommand("train", "Train a recipe, or resume its run");
  verb->add_option("recipe", arguments->recipe, "Recipe, a TOML file")
      ->required();
  verb->add_option("--out", arguments->out, "Folder of the run")->required();
  add_set_flag(*verb, arguments->overrides,
               "Override a key of the recipe: a.b=c");
  verb->add_option("--block", arguments->block, "Train this block alone");
  verb->add_option("--memory", arguments->memory,
                   "Memory of the process, for instance 8GiB: as many blocks "
                   "as fit stay in it, the others wait on disk. On a CUDA "
                   "device, of tensors there: the others wait in host memory "
                   "and on disk");
  verb->add_option("--host-memory", arguments->host_memory,
                   "With --device cuda: host memory for the states of blocks "
                   "that wait there, for instance 16GiB; by default 60 % of "
                   "what is free");
  verb->add_option("--seed", arguments->seed, "Seed of every random stream");
  add_common_flags(*verb, flags);
  verb->callback([arguments, &flags, &action] {
    action = [arguments, &flags] { return train_run(flags, *arguments); };
  });
}

}  // namespace dblocks::cli
