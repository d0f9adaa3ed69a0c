// SPDX-License-Identifier: Apache-2.0
// Times the training step of one block, on a CPU or a CUDA device, on data that
// lie in memory. Prints one JSON object; the peers benchmarks/peers/vit_step.py
// and dit_step.py print the same keys.
//
//   vit  the published CIFAR-100 network or a wider one: 12 layers, width 128,
//        MLP 3072, patch 4, 65 tokens, dropout 0.1, all outer parts shared
//   dit  DiT-S/2 on 3 x 32 x 32 images or a wider one: 12 layers, width 384,
//        256 tokens, outer parts per block, averaged weights
#include <ATen/Parallel.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/memory/device_memory.h"
#include "dblocks/memory/malloc_policy.h"
#include "dblocks/memory/meter.h"
#include "dblocks/ops/cuda/plugin.h"
#include "dblocks/tasks/task.h"
#include "dblocks/train/precision.h"
#include "dblocks/train/recorded_step.h"
#include "dblocks/train/unit_state.h"

namespace {

using namespace dblocks;
using Clock = std::chrono::steady_clock;

struct Arguments {
  std::string precision = "fp32";
  int64_t steps = 20, warmup = 3, block = 0, threads = 0;
  int64_t batch = 0, micro_batch = 0, width = 0;
  std::string network = "vit";
  std::string device = "cpu";
  bool graphs = true;
  bool end_to_end = false, recompute = false;
};

tasks::TaskOptions published_cifar100(const Arguments& arguments) {
  constexpr auto shared = blocks::Ownership::kShared;
  const bool is_published = arguments.width == 128;
  return {
      .method = arguments.end_to_end ? tasks::Method::kEndToEnd
                                     : tasks::Method::kDiffusionBlocks,
      .shape = {.options = {.num_layers = 12,
                            .width = arguments.width,
                            .heads = is_published ? 4 : arguments.width / 64,
                            .mlp_width =
                                is_published ? 3072 : 4 * arguments.width,
                            .patch = 4,
                            .dropout = 0.1,
                            .label_input =
                                models::LabelInput::kReplaceClassToken,
                            .modulation = models::Modulation::kPublished},
                .channels = 3,
                .rows = 32,
                .columns = 32,
                .num_classes = 100,
                .compute =
                    arguments.precision == "bf16" ? at::kBFloat16 : at::kFloat},
      .blocks = {.num_blocks = 3,
                 .ownership = {shared, shared, shared, shared, shared, shared}},
      .classification = {.loss_weight = tasks::LossWeight::kPublished,
                         .target_table = tasks::TargetTable::kGaussian,
                         .anchor = 0},
      .recompute = arguments.recompute};
}

tasks::TaskOptions dit_s(const Arguments& arguments) {
  return {.kind = tasks::TaskKind::kImageGeneration,
          .method = arguments.end_to_end ? tasks::Method::kEndToEnd
                                         : tasks::Method::kDiffusionBlocks,
          .dit = {.options = {.size = models::DitSize::kCustom,
                              .num_layers = 12,
                              .width = arguments.width,
                              .heads = arguments.width / 64,
                              .patch = 2},
                  .channels = 3,
                  .rows = 32,
                  .columns = 32,
                  .num_classes = 10,
                  .compute = arguments.precision == "bf16" ? at::kBFloat16
                                                           : at::kFloat},
          .blocks = {.num_blocks = 3},
          .recompute = arguments.recompute};
}

at::Device device_of(const Arguments& arguments) {
  if (arguments.device == "cpu") {
    return at::kCPU;
  }
  DBLOCKS_CHECK(ops::cuda::open_devices() > 0, DeviceError,
                "[block_step] expected a CUDA device, found none");
  return {at::kCUDA, 0};
}

nlohmann::ordered_json measure(const Arguments& arguments) {
  const at::Device device = device_of(arguments);
  const bool is_dit = arguments.network == "dit";
  const auto made_task = tasks::make_task(
      is_dit ? dit_s(arguments) : published_cifar100(arguments));
  const tasks::Task& task = *made_task;
  optim::OptimOptions optim{.weight_decay = 0.01,
                            .schedule = optim::LearningRateSchedule::kConstant,
                            .warmup_steps = 0,
                            .weight_decay_on = optim::WeightDecayOn::kAll};
  if (is_dit) {
    optim.weight_decay = 0;
    optim.ema_decay = 0.9999;
  }
  auto first = task.make_unit(0);
  first->network().to(device);
  FlatState shared(train::parameters_of(*first, blocks::Ownership::kShared,
                                        optim.weight_decay_on));
  const int64_t unit = arguments.end_to_end ? 0 : arguments.block;
  train::UnitState state(task.make_unit(unit), optim,
                         arguments.end_to_end || is_dit ? nullptr : &shared,
                         device);
  const tasks::LabelledBatch batch{
      at::randn({arguments.batch, 3, 32, 32}).to(device),
      at::randint(is_dit ? 10 : 100, {arguments.batch}, at::kLong).to(device)};
  train::Stepper stepper(arguments.graphs && !arguments.recompute);
  train::StepOptions options{.optim = optim,
                             .total_steps = 1000000,
                             .micro_batch = arguments.micro_batch};
  std::vector<double> seconds;
  for (int64_t i = 0; i < arguments.warmup + arguments.steps; ++i) {
    const auto start = Clock::now();
    stepper.step(state, batch, {0, unit, i}, options, 1000000 - i);
    const double elapsed =
        std::chrono::duration<double>(Clock::now() - start).count();
    if (i >= arguments.warmup) {
      seconds.push_back(elapsed);
    }
  }
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2];
  return {{"implementation", "dblocks"},
          {"network", arguments.network},
          {"step", arguments.end_to_end ? "end_to_end" : "block"},
          {"precision", arguments.precision},
          {"device", arguments.device},
          {"width", arguments.width},
          {"is_recorded", stepper.is_recorded()},
          {"threads", at::get_num_threads()},
          {"batch", arguments.batch},
          {"median_seconds", median},
          {"min_seconds", seconds.front()},
          {"max_seconds", seconds.back()},
          {"images_per_second", static_cast<double>(arguments.batch) / median},
          {"peak_tensor_bytes", memory::device_peak_bytes(device)},
          {"peak_resident_bytes", memory::process_peak_resident_bytes()}};
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Times the training step of one block");
  app.add_option("--precision", arguments.precision)
      ->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_option("--steps", arguments.steps)->check(CLI::PositiveNumber);
  app.add_option("--warmup", arguments.warmup)->check(CLI::NonNegativeNumber);
  app.add_option("--block", arguments.block)->check(CLI::Range(0, 2));
  app.add_option("--network", arguments.network)
      ->check(CLI::IsMember({"vit", "dit"}));
  app.add_option("--batch", arguments.batch, "default 128 (vit), 32 (dit)")
      ->check(CLI::PositiveNumber);
  app.add_option("--device", arguments.device)
      ->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--width", arguments.width,
                 "of a vit 128, the published network, or another with heads "
                 "of 64 and an MLP of 4 times the width; of a dit 384")
      ->check(CLI::IsMember({128, 384, 768, 1024}));
  app.add_flag("--graphs,!--no-graphs", arguments.graphs);
  app.add_option("--threads", arguments.threads)->check(CLI::NonNegativeNumber);
  app.add_option("--micro-batch", arguments.micro_batch)
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--end-to-end", arguments.end_to_end);
  app.add_flag("--recompute", arguments.recompute);
  CLI11_PARSE(app, argc, argv);
  const bool is_dit = arguments.network == "dit";
  if (arguments.width == 0) {
    arguments.width = is_dit ? 384 : 128;
  }
  if (arguments.batch == 0) {
    arguments.batch = is_dit ? 32 : 128;
  }
  memory::keep_freed_memory();
  memory::install_cpu_meter();
  if (arguments.threads > 0) {
    at::set_num_threads(static_cast<int>(arguments.threads));
  }
  std::printf("%s\n", measure(arguments).dump().c_str());
  return 0;
}
