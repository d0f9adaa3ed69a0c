// SPDX-License-Identifier: Apache-2.0
#include "cli/plan_time.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>

#include "cli/output.h"
#include "dblocks/memory/disk_probe.h"
#include "dblocks/memory/time_plan.h"
#include "dblocks/train/machine_probe.h"
#include "dblocks/train/step_plan.h"
#include "dblocks/train/step_probe.h"

namespace dblocks::cli {
namespace {

using Json = nlohmann::ordered_json;

memory::TimePlan time_of(const train::RunSetup& setup, const PlanRates& rates) {
  return memory::plan_time(train::step_shape(setup), train::unit_shapes(setup),
                           rates.rates);
}

/// Steps before another block's turn; 0 = auto.
int64_t visit_steps(const train::TrainOptions& train) {
  switch (train.schedule) {
    case train::TrainingSchedule::kSequential:
      return train.steps;
    case train::TrainingSchedule::kRandom:
      return 1;
    case train::TrainingSchedule::kAlternating:
      break;
  }
  return train.steps_per_visit;
}

at::ScalarType compute_type(const train::RunSetup& setup) {
  return setup.task.kind == tasks::TaskKind::kClassification
             ? setup.task.shape.compute
             : setup.task.dit.compute;
}

/// `setup` with a single block of as many layers as its first, at most two.
train::RunSetup short_block(train::RunSetup setup) {
  const int64_t layers =
      std::min<int64_t>(2, train::unit_shapes(setup).front().num_layers);
  setup.task.shape.options.num_layers = layers;
  setup.task.dit.options.num_layers = layers;
  setup.task.blocks.num_blocks = 1;
  setup.task.blocks.layers_per_block.clear();
  setup.task.partition = {};
  return setup;
}

Json paged_json(const train::RunSetup& setup,
                const PlanRates& rates,
                const memory::PagingPlan& paging,
                double mean_step) {
  const memory::PagedTimePlan plan = memory::plan_paged_time(
      paging, mean_step, rates.rates, visit_steps(setup.train));
  return {{"move_seconds", plan.move_seconds},
          {"steps_to_hide", plan.steps_to_hide},
          {"steps_per_visit", plan.steps_per_visit},
          {"step_seconds", plan.step_seconds},
          {"wait_share", plan.wait_share}};
}

}  // namespace

PlanRates assumed_rates() {
  const double threads = at::get_num_threads();
  return {.rates = {.matmul_flops = 50e9 * threads,
                    .memory_bytes = 5e9 * threads,
                    .state_in_bytes = 1e9,
                    .state_out_bytes = 1e9}};
}

PlanRates measured_rates(const train::RunSetup& setup) {
  const train::Repeats repeats{.least = 5, .most = 20, .seconds = 0.2};
  const memory::DiskRates disk =
      memory::measure_disk(".", {.file_bytes = size_t{128} << 20});
  const double copied =
      train::measure_copy(at::kCPU, int64_t{128} << 20, repeats).median;
  const auto work_of_first = [](const train::RunSetup& s) {
    return memory::work_of(train::step_shape(s), train::unit_shapes(s).front());
  };
  const auto products_rate = [&](const memory::StepWork& work) {
    return train::measure_products(work.products, compute_type(setup), at::kCPU,
                                   repeats);
  };
  const train::RunSetup sample = short_block(setup);
  const memory::StepWork work = work_of_first(sample);
  const double products = work.hardware_flops() / products_rate(work);
  const double step =
      train::measure_step_time(sample, 0, at::kCPU, repeats).seconds.median;
  const double rest = std::max(step - products, work.moved_bytes() / copied);
  return {.rates = {.matmul_flops = products_rate(work_of_first(setup)),
                    .memory_bytes = work.moved_bytes() / rest,
                    .state_in_bytes = disk.read.median,
                    .state_out_bytes = disk.write.median},
          .is_measured = true};
}

Json time_json(const train::RunSetup& setup,
               const PlanRates& rates,
               const std::optional<memory::PagingPlan>& paging) {
  const memory::TimePlan plan = time_of(setup, rates);
  const auto units = static_cast<double>(train::unit_shapes(setup).size());
  Json json{{"source", rates.is_measured ? "measured" : "assumed"},
            {"rates",
             {{"products_flops_per_second", rates.rates.matmul_flops},
              {"memory_bytes_per_second", rates.rates.memory_bytes},
              {"disk_read_bytes_per_second", rates.rates.state_in_bytes},
              {"disk_write_bytes_per_second", rates.rates.state_out_bytes}}},
            {"step_seconds", plan.step_seconds()},
            {"products_seconds", plan.products_seconds},
            {"memory_seconds", plan.memory_seconds},
            {"sweep_seconds", plan.sweep_seconds},
            {"paged", nullptr}};
  if (paging && paging->num_paged() > 0) {
    json["paged"] =
        paged_json(setup, rates, *paging, plan.sweep_seconds / units);
  }
  return json;
}

double sweep_seconds(const train::RunSetup& setup, const PlanRates& rates) {
  return time_of(setup, rates).sweep_seconds;
}

std::string format_seconds(double seconds) {
  return seconds < 1 ? fmt::format("{:.1f} ms", seconds * 1e3)
                     : fmt::format("{:.2f} s", seconds);
}

std::string describe_time(const Json& time) {
  const auto number = [](const Json& json, const char* key) {
    return json.at(key).get<double>();
  };
  const Json& rates = time.at("rates");
  const bool is_measured = time.at("source") == "measured";
  std::string text = fmt::format(
      "predicted time of a step {}: products {} at {:.0f} GFLOP/s, everything "
      "else {} at {:.1f} GB/s; a step of every block {}\nthese rates are {}",
      format_seconds(number(time, "step_seconds")),
      format_seconds(number(time, "products_seconds")),
      number(rates, "products_flops_per_second") / 1e9,
      format_seconds(number(time, "memory_seconds")),
      number(rates, "memory_bytes_per_second") / 1e9,
      format_seconds(number(time, "sweep_seconds")),
      is_measured ? "measured just now"
                  : "assumed; --measure measures this machine's");
  const Json& paged = time.at("paged");
  if (!paged.is_null()) {
    text += fmt::format(
        "\npaged: a state comes in at {:.2f} GB/s and leaves at {:.2f}, {} "
        "for both, as long as {:.1f} steps; with {} steps a visit a step takes "
        "{}, {} of it waiting",
        number(rates, "disk_read_bytes_per_second") / 1e9,
        number(rates, "disk_write_bytes_per_second") / 1e9,
        format_seconds(number(paged, "move_seconds")),
        number(paged, "steps_to_hide"),
        paged.at("steps_per_visit").get<int64_t>(),
        format_seconds(number(paged, "step_seconds")),
        format_percent(number(paged, "wait_share")));
  }
  return text;
}

}  // namespace dblocks::cli
