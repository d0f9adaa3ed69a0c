// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "dblocks/data/loader.h"
#include "dblocks/optim/options.h"
#include "dblocks/report/options.h"
#include "dblocks/tasks/options.h"
#include "dblocks/tasks/task.h"
#include "dblocks/train/options.h"

namespace dblocks::train {

/// A resolved recipe as the trainer takes it.
struct RunSetup {
  tasks::TaskOptions task;
  data::LoaderOptions loader;
  tasks::ReadoutOptions readout;
  tasks::SamplingOptions sampling;
  tasks::EvaluationOptions evaluation;
  optim::OptimOptions optim;
  TrainOptions train;
  CheckpointOptions checkpoint;
  report::EventOptions report;
  /// Equal for runs whose blocks fit together.
  std::string fingerprint;

  /// Whether some outer part is trained by every block.
  bool has_shared_parts() const;
};

/// Where things lie in the folder of a run.
class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  /// The recipe as it was given, and with every value worked out.
  std::filesystem::path recipe() const { return root_ / "recipe.toml"; }
  std::filesystem::path resolved() const { return root_ / "resolved.toml"; }
  std::filesystem::path unit(int64_t unit) const {
    return root_ / "blocks" / std::to_string(unit);
  }
  std::filesystem::path checkpoints(int64_t index) const {
    return unit(index) / "checkpoints";
  }
  /// State of an idle block between two visits; worthless to other processes.
  std::filesystem::path page(int64_t index) const {
    return unit(index) / "page";
  }
  std::filesystem::path log(int64_t index) const {
    return unit(index) / "log.jsonl";
  }
  /// Parts trained by every block.
  std::filesystem::path shared() const { return root_ / "shared"; }

 private:
  std::filesystem::path root_;
};

}  // namespace dblocks::train
