// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/run_checkpoints.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "dblocks/core/error.h"
#include "dblocks/core/log.h"
#include "dblocks/train/unit_state.h"

namespace dblocks::train {
namespace {

using checkpoint::Checkpoint;
using checkpoint::CheckpointStore;
using Json = nlohmann::ordered_json;

void check_recipe(const Checkpoint& found, const RunSetup& setup) {
  DBLOCKS_CHECK(
      found.manifest.recipe_fingerprint == setup.fingerprint, CheckpointError,
      "[checkpoint] {}: expected a checkpoint of recipe {}, found one "
      "of recipe {}",
      found.folder.string(), setup.fingerprint,
      found.manifest.recipe_fingerprint);
}

std::vector<int64_t> read_unit_steps(const Checkpoint& shared,
                                     int64_t num_units) {
  const std::filesystem::path file = shared.folder / checkpoint::kStateName;
  const std::string text = real_file_system().read_file(file, kMaxStateBytes);
  try {
    auto steps = Json::parse(text).at("unit_steps").get<std::vector<int64_t>>();
    DBLOCKS_CHECK(static_cast<int64_t>(steps.size()) == num_units,
                  CheckpointError,
                  "[checkpoint] {}: expected the steps of {} blocks, found {}",
                  file.string(), num_units, steps.size());
    return steps;
  } catch (const Json::exception& error) {
    throw CheckpointError(
        fmt::format("[checkpoint] {}: expected the state of shared parts, "
                    "found: {}",
                    file.string(), error.what()));
  }
}

/// The units that go with one checkpoint of the shared parts.
std::vector<std::optional<Checkpoint>> units_at(
    const RunFolder& folder,
    const RunSetup& setup,
    const std::vector<int64_t>& steps) {
  std::vector<std::optional<Checkpoint>> units;
  for (size_t i = 0; i < steps.size(); ++i) {
    const auto unit = static_cast<int64_t>(i);
    units.push_back(steps[i] == 0
                        ? std::nullopt
                        : unit_store(folder, setup, unit).find(steps[i]));
    DBLOCKS_CHECK(steps[i] == 0 || units.back(), CheckpointError,
                  "[checkpoint] {}: expected a checkpoint of step {}, found "
                  "none",
                  folder.checkpoints(unit).string(), steps[i]);
  }
  return units;
}

RunCheckpoints find_shared(const RunFolder& folder,
                           const RunSetup& setup,
                           int64_t num_units) {
  CheckpointStore store = shared_store(folder, setup);
  std::vector<int64_t> steps = store.steps();
  std::reverse(steps.begin(), steps.end());
  for (const int64_t step : steps) {
    try {
      RunCheckpoints found;
      found.shared = store.find(step);
      DBLOCKS_ASSERT(found.shared, "a listed step has no folder");
      check_recipe(*found.shared, setup);
      found.units =
          units_at(folder, setup, read_unit_steps(*found.shared, num_units));
      return found;
    } catch (const CheckpointError& error) {
      log().warn("[checkpoint] passed over {}: {}",
                 store.step_folder(step).string(), error.what());
    }
  }
  return {.units = std::vector<std::optional<Checkpoint>>(num_units),
          .shared = std::nullopt};
}

}  // namespace

bool RunSetup::has_shared_parts() const {
  if (task.method != tasks::Method::kDiffusionBlocks) {
    return false;
  }
  return blocks::has_shared_parts(task.blocks.ownership);
}

std::vector<int64_t> RunCheckpoints::steps() const {
  std::vector<int64_t> result;
  for (const auto& unit : units) {
    result.push_back(unit ? unit->step : 0);
  }
  return result;
}

CheckpointStore unit_store(const RunFolder& folder,
                           const RunSetup& setup,
                           int64_t unit) {
  return {real_file_system(), folder.checkpoints(unit),
          setup.checkpoint.keep + (setup.has_shared_parts() ? 1 : 0)};
}

CheckpointStore shared_store(const RunFolder& folder, const RunSetup& setup) {
  return {real_file_system(), folder.shared() / "checkpoints",
          setup.checkpoint.keep};
}

RunCheckpoints find_checkpoints(const RunFolder& folder,
                                const RunSetup& setup,
                                int64_t num_units) {
  if (setup.has_shared_parts()) {
    return find_shared(folder, setup, num_units);
  }
  RunCheckpoints found;
  for (int64_t unit = 0; unit < num_units; ++unit) {
    found.units.push_back(
        unit_store(folder, setup, unit).newest_verified().checkpoint);
    if (found.units.back()) {
      check_recipe(*found.units.back(), setup);
    }
  }
  return found;
}

std::string shared_state_text(int64_t step, const std::vector<int64_t>& units) {
  return Json{{"step", step}, {"unit_steps", units}}.dump(2) + "\n";
}

}  // namespace dblocks::train
