// SPDX-License-Identifier: Apache-2.0
// What the trainer sees of a task: how many units there are and how each one is
// built, whatever it learns.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dblocks/blocks/options.h"
#include "dblocks/blocks/split.h"
#include "dblocks/models/dit.h"
#include "dblocks/models/vit.h"
#include "dblocks/noise/noise_schedule.h"
#include "dblocks/noise/partition.h"
#include "dblocks/tasks/generation_options.h"
#include "dblocks/tasks/options.h"
#include "dblocks/tasks/unit.h"

namespace dblocks::tasks {

/// What a task takes from a resolved recipe.
struct TaskOptions {
  TaskKind kind = TaskKind::kClassification;
  Method method = Method::kDiffusionBlocks;
  models::VitShape shape;  ///< classification only
  models::DitShape dit;    ///< image generation only
  blocks::BlocksOptions blocks;
  noise::NoiseOptions noise;
  noise::PartitionOptions partition;
  ClassificationOptions classification;
  GenerationOptions generation;
  uint64_t seed = 0;
  bool recompute = false;  ///< see nn::LayerStack::set_recompute

  /// Layers of the whole stack.
  int64_t num_layers() const {
    return kind == TaskKind::kClassification ? shape.options.num_layers
                                             : dit.options.num_layers;
  }
};

/// Makes the units of one method.
class Task {
 public:
  virtual ~Task() = default;

  int64_t num_units() const { return static_cast<int64_t>(layers_.size()); }

  /// Layers of a unit, by their index in the stack.
  const blocks::LayerRange& layers(int64_t unit) const { return layers_[unit]; }

  /// Builds unit `unit` with initial weights. These depend on the seed and on
  /// the names of parameters alone, so a unit starts the same in any process.
  /// Under nn::PlaceholderGuard only frozen parts get their values.
  virtual std::unique_ptr<Unit> make_unit(int64_t unit) const = 0;

  const noise::Partition& partition() const { return partition_; }
  const TaskOptions& options() const { return options_; }

 protected:
  /// *Errors*: ConfigError for options that do not fit together.
  Task(const TaskOptions& options, const noise::Partition& partition);

 private:
  TaskOptions options_;
  noise::Partition partition_;
  std::vector<blocks::LayerRange> layers_;
};

/// The task that `options.kind` names. *Errors*: as the task's constructor.
std::unique_ptr<Task> make_task(const TaskOptions& options);

}  // namespace dblocks::tasks
