// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/command.h"
#include "cli/memory_budget.h"
#include "cli/output.h"
#include "cli/plan_time.h"
#include "cli/run_context.h"
#include "dblocks/train/memory_choice.h"
#include "dblocks/train/step_plan.h"

namespace dblocks::cli {
namespace {

using Json = nlohmann::ordered_json;
using memory::UnitPlan;

struct PlanArguments {
  std::string recipe;
  std::vector<std::string> overrides;
  std::string memory;
  std::string host_memory;
  bool measures = false;
};

/// One way to train the network of a recipe.
struct Way {
  std::string name;
  int64_t peak_bytes = 0;
  std::optional<double> sweep_seconds;   ///< of a step of every unit, on a CPU
  std::optional<int64_t> largest_batch;  ///< with --memory
};

int64_t peak_of(const std::vector<UnitPlan>& plans) {
  return std::ranges::max_element(plans, {}, &UnitPlan::peak_bytes)->peak_bytes;
}

Way plan_way(std::string name,
             const train::RunSetup& setup,
             const std::optional<PlanRates>& rates,
             std::optional<int64_t> limit) {
  Way way{.name = std::move(name),
          .peak_bytes = peak_of(train::plan_steps(setup))};
  if (rates) {
    way.sweep_seconds = sweep_seconds(setup, *rates);
  }
  if (limit) {
    int64_t batch = INT64_MAX;
    for (const memory::UnitShape& unit : train::unit_shapes(setup)) {
      batch = std::min(
          batch, memory::largest_batch(train::step_shape(setup), unit, *limit));
    }
    way.largest_batch = batch;
  }
  return way;
}

/// End to end, with layers run again, and every number of blocks that divides
/// the stack evenly.
std::vector<Way> alternatives(const train::RunSetup& setup,
                              const std::optional<PlanRates>& rates,
                              std::optional<int64_t> limit) {
  std::vector<Way> ways;
  train::RunSetup other = setup;
  other.task.method = tasks::Method::kEndToEnd;
  ways.push_back(plan_way("end to end", other, rates, limit));
  other.task.recompute = true;
  ways.push_back(plan_way("end to end, recomputed", other, rates, limit));
  other.task.method = setup.task.method;
  ways.push_back(plan_way("as planned, recomputed", other, rates, limit));
  other.task.recompute = setup.task.recompute;
  other.task.method = tasks::Method::kDiffusionBlocks;
  other.task.blocks.layers_per_block.clear();
  // Boundaries that a recipe lists belong to its own number of blocks.
  other.task.partition = {};
  for (int64_t blocks = 1; blocks <= setup.task.num_layers(); ++blocks) {
    if (setup.task.num_layers() % blocks == 0) {
      other.task.blocks.num_blocks = blocks;
      ways.push_back(plan_way(fmt::format("block-wise, B = {}", blocks), other,
                              rates, limit));
    }
  }
  return ways;
}

/// Settings as flags.
std::string flags_of(const train::MemorySettings& s) {
  return fmt::format(
      "--set train.recompute={} --set train.micro_batch={} --set "
      "optim.moments={}",
      s.recompute ? "layer" : "none", s.micro_batch, enum_name(s.moments));
}

Json settings_json(const train::MemorySettings& s, int64_t limit) {
  return {{"recompute", s.recompute ? "layer" : "none"},
          {"micro_batch", s.micro_batch},
          {"moments", enum_name(s.moments)},
          {"peak_bytes", s.peak_bytes},
          {"relative_time", s.relative_time},
          {"fits", s.peak_bytes <= limit}};
}

/// What was tried to stay within the limit, and what came of it.
void print_settings(const std::vector<train::MemorySettings>& tried,
                    int64_t batch,
                    int64_t limit) {
  print_line(fmt::format("\n{:<10} {:>11} {:>8} {:>10} {:>8}  within {}",
                         "recompute", "micro-batch", "moments", "peak", "time",
                         format_bytes(limit)));
  for (const train::MemorySettings& s : tried) {
    print_line(fmt::format("{:<10} {:>11} {:>8} {:>10} {:>7.2f}x  {}",
                           s.recompute ? "layer" : "none",
                           s.micro_batch > 0 ? s.micro_batch : batch,
                           enum_name(s.moments), format_bytes(s.peak_bytes),
                           s.relative_time,
                           s.peak_bytes <= limit ? "yes" : "no"));
  }
  const train::MemorySettings& last = tried.back();
  if (last.peak_bytes > limit) {
    print_line(fmt::format(
        "nothing of this fits into {}: the least is {}. More blocks, or a "
        "narrower network, need less",
        format_bytes(limit),
        format_bytes(std::ranges::min_element(
                         tried, {}, &train::MemorySettings::peak_bytes)
                         ->peak_bytes)));
  } else if (tried.size() == 1) {
    print_line("the recipe fits as it is");
  } else {
    print_line(fmt::format("first that fits: {}", flags_of(last)));
  }
}

Json block_json(const UnitPlan& p, int64_t index) {
  return {{"block", index},
          {"num_layers", p.num_layers},
          {"num_parameters", p.num_parameters},
          {"weights_bytes", p.weights_bytes},
          {"unpacked_bytes", p.unpacked_bytes},
          {"gradient_bytes", p.gradient_bytes},
          {"moments_bytes", p.moments_bytes},
          {"average_bytes", p.average_bytes},
          {"frozen_bytes", p.frozen_bytes},
          {"activation_bytes", p.activation_bytes},
          {"head_bytes", p.head_bytes},
          {"buffer_bytes", p.buffer_bytes},
          {"peak_bytes", p.peak_bytes}};
}

Json way_json(const Way& way) {
  Json json{{"name", way.name}, {"peak_bytes", way.peak_bytes}};
  if (way.sweep_seconds) {
    json["sweep_seconds"] = *way.sweep_seconds;
  }
  if (way.largest_batch) {
    json["largest_batch"] = *way.largest_batch;
  }
  return json;
}

Json paging_json(const memory::PagingPlan& p) {
  return {{"fits", p.fits()},
          {"program_bytes", p.program_bytes},
          {"num_blocks", p.num_units},
          {"blocks_in_memory", p.num_arenas},
          {"state_bytes", p.state_bytes},
          {"step_bytes", p.step_bytes},
          {"building_bytes", p.building_bytes},
          {"peak_bytes", p.peak_bytes},
          {"least_bytes", p.least_bytes},
          {"disk_bytes", p.disk_bytes()}};
}

/// Where the states of a run lie within --memory: of a process on a CPU, or of
/// a CUDA device.
struct Places {
  int64_t budget_bytes = 0;
  memory::PagingPlan paging;
  std::optional<DevicePlan> device;

  /// For the tensors of a step.
  int64_t limit_bytes() const {
    return std::max<int64_t>(budget_bytes - paging.program_bytes, 0);
  }
};

std::optional<Places> place_states(const CommonFlags& flags,
                                   const PlanArguments& arguments,
                                   const train::RunSetup& setup) {
  if (arguments.memory.empty()) {
    return std::nullopt;
  }
  const int64_t budget = read_memory_flag(arguments.memory);
  if (!names_cuda(flags)) {
    return Places{.budget_bytes = budget,
                  .paging = plan_within(setup, budget),
                  .device = {}};
  }
  const DevicePlan plan = plan_on_device(
      setup, budget, read_host_memory_flag(arguments.host_memory));
  return Places{.budget_bytes = budget, .paging = plan.device, .device = plan};
}

Json places_json(const Places& places) {
  Json json = paging_json(places.paging);
  if (const auto& device = places.device) {
    json["blocks_in_memory"] = device->num_slots;
    json["blocks_in_host_memory"] = device->num_host_arenas;
    json["peak_bytes"] = device->peak_bytes();
    json["disk_bytes"] = device->disk_bytes();
  }
  return json;
}

/// A CUDA device computes in bf16 where the recipe leaves the choice open: it
/// need not be there to be planned for.
void settle_precision(PlanArguments& arguments) {
  const config::LoadedConfig loaded =
      config::load_recipe(arguments.recipe, arguments.overrides);
  if (loaded.config.train.precision == train::Precision::kAuto) {
    arguments.overrides.emplace_back("train.precision=bf16");
  }
}

/// *Errors*: DeviceError if the run does not fit.
ExitCode done(const std::optional<Places>& places) {
  if (places) {
    check_fits(places->paging, "plan");
  }
  return ExitCode::kDone;
}

void print_blocks(const std::vector<UnitPlan>& plans) {
  print_line(fmt::format(
      "{:>5} {:>6} {:>10} {:>10} {:>10} {:>10} {:>10} "
      "{:>11} {:>10} {:>10} {:>10}",
      "block", "layers", "weights", "gradient", "moments", "average", "frozen",
      "activations", "head", "buffers", "peak"));
  for (size_t i = 0; i < plans.size(); ++i) {
    const UnitPlan& p = plans[i];
    print_line(fmt::format(
        "{:>5} {:>6} {:>10} {:>10} {:>10} {:>10} {:>10} {:>11} {:>10} {:>10} "
        "{:>10}",
        i, p.num_layers, format_bytes(p.weights_bytes + p.unpacked_bytes),
        format_bytes(p.gradient_bytes), format_bytes(p.moments_bytes),
        format_bytes(p.average_bytes), format_bytes(p.frozen_bytes),
        format_bytes(p.activation_bytes), format_bytes(p.head_bytes),
        format_bytes(p.buffer_bytes), format_bytes(p.peak_bytes)));
  }
}

void print_ways(const std::vector<Way>& ways, bool has_limit) {
  print_line(fmt::format("\n{:<26} {:>10} {:>12}{}", "other ways", "peak",
                         "every block", has_limit ? "  largest batch" : ""));
  for (const Way& way : ways) {
    print_line(fmt::format(
        "{:<26} {:>10} {:>12}{}", way.name, format_bytes(way.peak_bytes),
        way.sweep_seconds ? format_seconds(*way.sweep_seconds) : "-",
        way.largest_batch ? fmt::format("  {:>13}", *way.largest_batch) : ""));
  }
}

ExitCode plan(const CommonFlags& flags, PlanArguments arguments) {
  check_host_memory_flag(arguments.host_memory, flags.device);
  const bool is_cpu = !names_cuda(flags);
  DBLOCKS_CHECK(is_cpu || !arguments.measures, ConfigError,
                "[plan] expected --measure with --device cpu, found {}. Hint: "
                "dblocks bench --device cuda",
                flags.device);
  prepare_process(flags);
  if (!is_cpu) {
    settle_precision(arguments);
  }
  const RunContext context =
      open_recipe(arguments.recipe, arguments.overrides, at::kCPU);
  const std::vector<UnitPlan> plans = train::plan_steps(context.setup);
  const std::optional<Places> places =
      place_states(flags, arguments, context.setup);
  std::optional<int64_t> limit;  // of tensors
  if (places) {
    limit = places->limit_bytes();
  }
  std::optional<PlanRates> rates;
  Json time;
  if (is_cpu) {
    rates =
        arguments.measures ? measured_rates(context.setup) : assumed_rates();
    time = time_json(context.setup, *rates,
                     places ? std::optional(places->paging) : std::nullopt);
  }
  const Way own = plan_way("as planned", context.setup, rates, limit);
  const std::vector<Way> ways = alternatives(context.setup, rates, limit);
  const int64_t batch = context.setup.loader.batch_size;
  std::vector<train::MemorySettings> tried;
  if (limit) {
    tried = train::settings_for_memory(context.setup, *limit);
  }
  if (flags.json) {
    Json json{{"batch_size", batch}, {"blocks", Json::array()}};
    for (size_t i = 0; i < plans.size(); ++i) {
      json["blocks"].push_back(block_json(plans[i], static_cast<int64_t>(i)));
    }
    json["peak_bytes"] = own.peak_bytes;
    if (is_cpu) {
      json["time"] = time;
    }
    if (places) {
      json["memory_bytes"] = places->budget_bytes;
      json["largest_batch"] = *own.largest_batch;
      json["paging"] = places_json(*places);
      json["settings"] = Json::array();
      for (const train::MemorySettings& s : tried) {
        json["settings"].push_back(settings_json(s, *limit));
      }
    }
    json["other_ways"] = Json::array();
    for (const Way& way : ways) {
      json["other_ways"].push_back(way_json(way));
    }
    print_line(json.dump(2));
    return done(places);
  }
  print_blocks(plans);
  print_ways(ways, limit.has_value());
  if (limit) {
    print_settings(tried, batch, *limit);
  }
  print_line(fmt::format(
      "\npredicted peak of a step {}, end to end {} (ratio {:.3f}, batch {})",
      format_bytes(own.peak_bytes), format_bytes(ways.front().peak_bytes),
      static_cast<double>(own.peak_bytes) /
          static_cast<double>(ways.front().peak_bytes),
      batch));
  print_line(is_cpu ? describe_time(time)
                    : "times of a GPU are measured, not predicted: dblocks "
                      "bench --device cuda");
  if (places) {
    print_line(fmt::format("largest batch within {}: {}",
                           format_bytes(places->budget_bytes),
                           *own.largest_batch));
    if (places->paging.fits()) {
      print_line(places->device ? describe(*places->device)
                                : describe(places->paging));
    }
  }
  return done(places);
}

}  // namespace

void add_plan(CLI::App& app, CommonFlags& flags, Action& action) {
  auto arguments = std::make_shared<PlanArguments>();
  CLI::App* verb = app.add_subcommand(
      "plan",
      "Predict memory and time of a step from shapes; nothing is trained");
  verb->add_option("recipe", arguments->recipe, "Recipe, a TOML file")
      ->required();
  add_set_flag(*verb, arguments->overrides,
               "Override a key of the recipe: a.b=c");
  verb->add_option(
      "--memory", arguments->memory,
      "Memory of the process, with --device cuda of tensors on the device, "
      "for instance 8GiB: what would be in memory and what on disk, the "
      "largest batch and settings of the step that fit");
  verb->add_option("--host-memory", arguments->host_memory,
                   "With --device cuda: host memory for the states of blocks "
                   "that wait there; by default 60 % of what is free");
  verb->add_flag("--measure", arguments->measures,
                 "Measure this machine's rates for the predicted time, with "
                 "the disk of the present folder; a few seconds");
  add_common_flags(*verb, flags);
  add_json_flag(*verb, flags);
  verb->callback([arguments, &flags, &action] {
    action = [arguments, &flags] { return plan(flags, *arguments); };
  });
}

}  // namespace dblocks::cli
