// SPDX-License-Identifier: Apache-2.0
#include "cli/memory_budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "cli/machine.h"
#include "cli/output.h"
#include "dblocks/core/error.h"
#include "dblocks/memory/meter.h"
#include "dblocks/train/step_plan.h"

namespace dblocks::cli {

int64_t read_memory_flag(const std::string& text, std::string_view flag) {
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
                "[memory] expected {} to be a size like 8GiB or 500MB, found "
                "{}",
                flag, text);
  return static_cast<int64_t>(bytes);
}

int64_t read_host_memory_flag(const std::string& text) {
  constexpr double kShare = 0.6;
  return text.empty()
             ? static_cast<int64_t>(
                   kShare * static_cast<double>(memory_facts().free_bytes))
             : read_memory_flag(text, "--host-memory");
}

void check_host_memory_flag(const std::string& text, std::string_view device) {
  DBLOCKS_CHECK(text.empty() || device != "cpu", ConfigError,
                "[memory] expected --host-memory with --device cuda, found "
                "--device cpu: there the states that fit --memory are in host "
                "memory and the others on disk");
}

memory::PagingPlan plan_within(const train::RunSetup& setup,
                               int64_t budget_bytes) {
  return memory::plan_paging(train::plan_steps(setup), budget_bytes,
                             memory::process_resident_bytes());
}

DevicePlan plan_on_device(const train::RunSetup& setup,
                          int64_t device_bytes,
                          int64_t host_bytes) {
  DevicePlan plan{
      .device = memory::plan_paging(train::plan_steps(setup), device_bytes, 0)};
  // A block that stays to its end gains nothing from the next one's presence.
  const bool takes_turns =
      setup.train.schedule != train::TrainingSchedule::kSequential;
  plan.num_slots =
      std::min<int64_t>(plan.device.num_arenas, takes_turns ? 2 : 1);
  plan.num_host_arenas = std::clamp<int64_t>(
      host_bytes / std::max<int64_t>(plan.device.state_bytes, 1), 1,
      plan.device.num_units);
  return plan;
}

int64_t DevicePlan::peak_bytes() const {
  return device.step_bytes + num_slots * device.state_bytes +
         (num_slots > 1 ? device.building_bytes : 0);
}

int64_t DevicePlan::disk_bytes() const {
  return num_host_arenas < device.num_units
             ? device.num_units * device.state_bytes
             : 0;
}

std::string describe(const DevicePlan& plan) {
  const memory::PagingPlan& p = plan.device;
  return fmt::format(
      "on the device: {} of {} blocks' states (weights, moments, average) of "
      "{}, gradient and activations of one {}; {}\nin host memory: {} states, "
      "{}; on disk: {}\npredicted peak of tensors on the device {} of {}",
      plan.num_slots, p.num_units, format_bytes(p.state_bytes),
      format_bytes(p.step_bytes),
      plan.num_slots > 1 ? "a block comes in and one leaves while another "
                           "trains"
                         : "training waits while blocks move",
      plan.num_host_arenas, format_bytes(plan.num_host_arenas * p.state_bytes),
      plan.disk_bytes() > 0 ? "page files of " + format_bytes(plan.disk_bytes())
                            : "nothing but checkpoints",
      format_bytes(plan.peak_bytes()), format_bytes(p.budget_bytes));
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
