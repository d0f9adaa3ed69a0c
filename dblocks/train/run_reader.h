// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "dblocks/core/hash.h"
#include "dblocks/tasks/readouts.h"
#include "dblocks/train/run_checkpoints.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::train {

/// A trained run, for evaluating, merging and exporting. Never writes.
class RunReader {
 public:
  /// *Errors*: CheckpointError if the folder holds no checkpoint at all, or one
  /// of another recipe.
  RunReader(const RunSetup& setup, const RunFolder& folder);

  const tasks::Task& task() const { return *task_; }
  const RunCheckpoints& checkpoints() const { return checkpoints_; }

  /// Builds unit `unit` with its trained weights (those that
  /// optim.ema_evaluate names) on `device`.
  /// *Errors*: CheckpointError if the unit has no checkpoint.
  std::unique_ptr<tasks::Unit> load_unit(int64_t unit, at::Device device) const;

  /// The file of a checkpoint that holds them.
  const char* trained_file() const;

 private:
  void load_weights(const std::vector<tasks::UnitParameter>& parameters,
                    int64_t unit) const;

  RunSetup setup_;
  RunFolder folder_;
  std::unique_ptr<tasks::Task> task_;
  RunCheckpoints checkpoints_;
};

/// Copies the newest checkpoints of blocks trained apart into one run.
/// *Errors*: CheckpointError for a block that no run or more than one run
/// holds (with different contents), that is not finished, that comes from
/// another recipe, cut or interval, or whose frozen parts differ; ConfigError
/// if parts are shared. `into` is then as it was.
void merge_runs(const RunSetup& setup,
                const std::vector<RunFolder>& from,
                const RunFolder& into);

/// Writes all weights of a run, those that optim.ema_evaluate names, as one
/// safetensors file, sorted by name, with `model_json` beside it as FILE's stem
/// + ".model.json". The same weights give the same bytes. Returns the hash of
/// the tensor file.
Hash128 export_weights(const RunReader& reader,
                       const std::filesystem::path& file,
                       const std::string& model_json);

}  // namespace dblocks::train
