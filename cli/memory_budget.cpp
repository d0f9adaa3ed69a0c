// SPDX-License-Identifier: Apache-2.0
#include "cli/memory_budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "cli/output.h"
#include "dblocks/core/error.h"
#include "dblocks/memory/meter.h"
#include "dblocks/train/step_plan.h"

namespace dblocks::cli {

int64_t read_memory_flag(const std::string& text) {
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit(end, text.data() + text.size());
  std::erase(unit, ' ');
  double factor = 0;
  const std::string letters = "KMGT";
  if (unit.empty() || unit == "B") {
    factor = 1;
  } else if (const size_t power = letters.find(unit[0]);
             power != std::string::npos) {
    const std::string rest = unit.substr(1);
    const double base = rest.empty() || rest == "iB" ? 1024
                        : rest == "B"                ? 1000
                                                     : 0;
    factor = std::pow(base, static_cast<double>(power + 1));
  }
  const double bytes = number * factor;
  DBLOCKS_CHECK(error == std::errc() && bytes >= 1 && bytes < 1e18, ConfigError,
                "[memory] expected --memory to be a size like 8GiB or 500MB, "
                "found {}",
                text);
  return static_cast<int64_t>(bytes);
}

memory::PagingPlan plan_within(const train::RunSetup& setup,
                               int64_t budget_bytes) {
  return memory::plan_paging(train::plan_steps(setup), budget_bytes,
                             memory::process_resident_bytes());
}

DevicePlan plan_on_device(const train::RunSetup& setup,
                          int64_t device_bytes,
                          int64_t host_bytes) {
  constexpr double kHostShare = 0.6;
  DevicePlan plan{
      .device = memory::plan_paging(train::plan_steps(setup), device_bytes, 0)};
  // A block that stays to its end gains nothing from the next one's presence.
  const bool takes_turns =
      setup.train.schedule != train::TrainingSchedule::kSequential;
  plan.num_slots =
      std::min<int64_t>(plan.device.num_arenas, takes_turns ? 2 : 1);
  const auto fitting = static_cast<int64_t>(
      kHostShare * static_cast<double>(host_bytes) /
      static_cast<double>(std::max<int64_t>(plan.device.state_bytes, 1)));
  plan.num_host_arenas = std::clamp<int64_t>(fitting, 1, plan.device.num_units);
  return plan;
}

std::string describe(const DevicePlan& plan) {
  const memory::PagingPlan& p = plan.device;
  const int64_t paged = p.num_units - plan.num_host_arenas;
  return fmt::format(
      "on the device: {} of {} blocks' states (weights, moments, average) of "
      "{}, gradient and activations of one {}; {}\nin host memory: {} states, "
      "{}; on disk: {}",
      plan.num_slots, p.num_units, format_bytes(p.state_bytes),
      format_bytes(p.step_bytes),
      plan.num_slots > 1 ? "a block comes in and one leaves while another "
                           "trains"
                         : "training waits while blocks move",
      plan.num_host_arenas, format_bytes(plan.num_host_arenas * p.state_bytes),
      paged > 0 ? fmt::format("page files of {}",
                              format_bytes(p.num_units * p.state_bytes))
                : "nothing but checkpoints");
}

void check_fits(const memory::PagingPlan& plan, std::string_view where) {
  DBLOCKS_CHECK(
      plan.fits(), DeviceError,
      "[{}] expected --memory of at least {}, found {}: the program and its "
      "data take {}, the state of one block (weights, moments, average) {}, "
      "its gradient and activations {}. Hint: more blocks "
      "(blocks.num_blocks) or a smaller batch (data.batch_size)",
      where, format_bytes(plan.least_bytes), format_bytes(plan.budget_bytes),
      format_bytes(plan.program_bytes), format_bytes(plan.state_bytes),
      format_bytes(plan.step_bytes));
}

std::string describe(const memory::PagingPlan& plan) {
  std::string text = fmt::format(
      "in memory: program and data {}, {} of {} blocks' states (weights, "
      "moments, average) of {}, gradient and activations of one {}",
      format_bytes(plan.program_bytes), plan.num_arenas, plan.num_units,
      format_bytes(plan.state_bytes), format_bytes(plan.step_bytes));
  if (plan.num_paged() > 0) {
    text += fmt::format(
        "\non disk: page files in the run folder, {}; {}",
        format_bytes(plan.disk_bytes()),
        plan.overlaps()
            ? "a block comes in and one leaves while another trains"
            : "a block leaves before the next comes in, and training waits");
  } else {
    text += "\non disk: nothing but checkpoints";
  }
  return text + fmt::format("\npredicted peak {} of {}",
                            format_bytes(plan.peak_bytes),
                            format_bytes(plan.budget_bytes));
}

}  // namespace dblocks::cli
