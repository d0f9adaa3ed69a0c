// SPDX-License-Identifier: Apache-2.0
// The predicted time of steps, as `dblocks plan` shows it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "dblocks/memory/paging_plan.h"
#include "dblocks/memory/step_work.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::cli {

/// Rates that a prediction rests on, and where they come from.
struct PlanRates {
  memory::MachineRates rates;
  bool is_measured = false;
};

/// What a machine is taken to do that was not asked: 50 GFLOP/s and 5 GB/s a
/// thread, 1 GB/s to and from the disk.
PlanRates assumed_rates();

/// The first unit's products in their own shapes and `setup`'s precision;
/// everything else by steps of a block of at most two layers, less their
/// products; and the disk that the present folder lies on. Takes a few seconds.
/// *Errors*: those of measure_disk().
PlanRates measured_rates(const train::RunSetup& setup);

/// Predicted times; `paged` is null where all states are in memory.
nlohmann::ordered_json time_json(
    const train::RunSetup& setup,
    const PlanRates& rates,
    const std::optional<memory::PagingPlan>& paging);

/// time_json() for people, a few lines.
std::string describe_time(const nlohmann::ordered_json& time);

/// Predicted seconds of one step of every unit of `setup`.
double sweep_seconds(const train::RunSetup& setup, const PlanRates& rates);

/// "1.23 s", "45.6 ms".
std::string format_seconds(double seconds);

}  // namespace dblocks::cli
