// SPDX-License-Identifier: Apache-2.0
#include "cli/run_context.h"

#include <ATen/Parallel.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "cli/machine.h"
#include "cli/run_data.h"
#include "dblocks/config/fingerprint.h"
#include "dblocks/config/resolve.h"
#include "dblocks/config/setup.h"
#include "dblocks/config/validate.h"
#include "dblocks/core/file_system.h"
#include "dblocks/core/log.h"
#include "dblocks/memory/meter.h"
#include "dblocks/ops/cuda/plugin.h"
#include "dblocks/train/precision.h"
#include "dblocks/train/step_plan.h"

namespace dblocks::cli {
namespace {

/// Puts the measured precision into the config, so that a resumed run computes
/// as it began.
void fix_precision(config::LoadedConfig& loaded, at::Device device) {
  const train::Precision asked = loaded.config.train.precision;
  const train::ResolvedPrecision found =
      train::resolve_precision(asked, device);
  if (found.is_slow) {
    log().warn("[precision] bf16 is slower than fp32 here: {}", found.reason);
  }
  if (asked == train::Precision::kAuto) {
    loaded.config.train.precision = found.precision;
    loaded.origins["train.precision"] = {config::OriginKind::kResolved,
                                         found.reason};
  }
}

/// Decides about train.recompute = auto: layers are run again only where the
/// predicted peak would take more than the memory that is free.
void fix_recompute(config::LoadedConfig& loaded,
                   train::RunSetup& setup,
                   at::Device device) {
  if (loaded.config.train.recompute != train::Recompute::kAuto) {
    return;
  }
  const int64_t free = free_bytes(device);
  int64_t peak = 0;
  for (const memory::UnitPlan& plan : train::plan_steps(setup)) {
    peak = std::max(peak, plan.peak_bytes);
  }
  const bool recompute = peak > free;
  setup.task.recompute = recompute;
  setup.train.recompute = loaded.config.train.recompute =
      recompute ? train::Recompute::kLayer : train::Recompute::kNone;
  loaded.origins["train.recompute"] = {
      config::OriginKind::kResolved,
      fmt::format("auto: a step needs {} MiB without, {} MiB are free",
                  peak >> 20, free >> 20)};
}

RunContext complete(config::LoadedConfig loaded, at::Device device) {
  config::validate(loaded.config);
  data::DataSplits data = data::open_dataset(loaded.config.data);
  config::resolve(loaded, data.train.size());
  config::validate_for_data(loaded.config, data.train.info(),
                            data.train.size());
  fix_precision(loaded, device);
  train::RunSetup setup = config::make_setup(loaded.config, data.train.info());
  fix_recompute(loaded, setup, device);
  return {std::move(loaded), std::move(data), std::move(setup)};
}

/// Device number of "cuda:N"; 0 for "cuda".
int cuda_index(const std::string& text) {
  int index = 0;
  const std::string digits = text == "cuda" ? "0" : text.substr(5);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), index);
  DBLOCKS_CHECK(error == std::errc() && end == digits.data() + digits.size() &&
                    index >= 0 && index < 128,
                ConfigError, "[device] expected cpu, cuda or cuda:N, found {}",
                text);
  return index;
}

}  // namespace

int64_t free_bytes(at::Device device) {
  return device.is_cpu()
             ? memory_facts().free_bytes
             : static_cast<int64_t>(c10::getDeviceAllocator(device.type())
                                        ->getMemoryInfo(device.index())
                                        .first);
}

RunContext open_recipe(const std::filesystem::path& recipe,
                       const std::vector<std::string>& overrides,
                       at::Device device) {
  config::LoadedConfig loaded = config::load_recipe(recipe, overrides);
  for (const std::string& warning : config::warnings(loaded.config)) {
    log().warn("[config] {}", warning);
  }
  return complete(std::move(loaded), device);
}

RunContext open_run(const std::filesystem::path& run,
                    const std::vector<std::string>& overrides,
                    at::Device device) {
  const train::RunFolder folder(run);
  DBLOCKS_CHECK(real_file_system().exists(folder.resolved()), CheckpointError,
                "[run] {}: expected the folder of a run (with {}), found none",
                run.string(), folder.resolved().filename().string());
  const config::LoadedConfig own = config::load_recipe(folder.resolved());
  check_overrides(own.config, overrides);
  RunContext context =
      complete(config::load_recipe(folder.resolved(), overrides), device);
  check_data_info(folder, context.data.train.info());
  return context;
}

void check_overrides(const config::RunConfig& run,
                     const std::vector<std::string>& overrides) {
  for (const std::string& item : overrides) {
    const std::string key = item.substr(0, item.find('='));
    DBLOCKS_CHECK(!config::changes_weights(run, key), ConfigError,
                  "[run] expected --set to leave trained weights alone, found "
                  "{}, which decides what was trained",
                  key);
  }
}

bool names_cuda(const CommonFlags& flags) {
  if (flags.device == "cpu") {
    return false;
  }
  DBLOCKS_CHECK(flags.device == "cuda" || flags.device.starts_with("cuda:"),
                ConfigError, "[device] expected cpu, cuda or cuda:N, found {}",
                flags.device);
  return true;
}

at::Device open_device(const CommonFlags& flags) {
  if (!names_cuda(flags)) {
    return at::kCPU;
  }
  const int index = cuda_index(flags.device);
  const int count = ops::cuda::open_devices();
  DBLOCKS_CHECK(index < count, DeviceError,
                "[device] expected {}, found {} CUDA device(s)", flags.device,
                count);
  return {at::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

void prepare_process(const CommonFlags& flags) {
  memory::install_cpu_meter();
  if (flags.threads > 0) {
    at::set_num_threads(static_cast<int>(flags.threads));
  }
}

}  // namespace dblocks::cli
