// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dblocks/checkpoint/store.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::train {

/// The checkpoints that make up the present state of a run.
struct RunCheckpoints {
  /// Per unit; nothing where a unit has none yet.
  std::vector<std::optional<checkpoint::Checkpoint>> units;
  /// The parts that all units train; nothing if there are none (yet).
  std::optional<checkpoint::Checkpoint> shared;

  /// Steps done per unit.
  std::vector<int64_t> steps() const;
};

/// Finds them. Units are independent, each at its newest checkpoint that
/// verifies, unless parts are shared: then the newest checkpoint of the shared
/// parts decides, since it names the step of every unit that goes with it.
/// Reading changes nothing on disk.
/// *Errors*: CheckpointError if a checkpoint belongs to another recipe.
RunCheckpoints find_checkpoints(const RunFolder& folder,
                                const RunSetup& setup,
                                int64_t num_units);

/// The store of a unit's checkpoints. Where parts are shared it keeps one more
/// than asked for: a commit of the shared parts may refer to the one before the
/// last.
checkpoint::CheckpointStore unit_store(const RunFolder& folder,
                                       const RunSetup& setup,
                                       int64_t unit);
checkpoint::CheckpointStore shared_store(const RunFolder& folder,
                                         const RunSetup& setup);

/// state.json of the shared parts: their own step and that of each unit.
std::string shared_state_text(int64_t step, const std::vector<int64_t>& units);

}  // namespace dblocks::train
