// SPDX-License-Identifier: Apache-2.0
// Image classification with a ViT: which units a method consists of, and how
// each one is built and initialised.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dblocks/blocks/options.h"
#include "dblocks/blocks/split.h"
#include "dblocks/models/vit.h"
#include "dblocks/noise/noise_schedule.h"
#include "dblocks/noise/partition.h"
#include "dblocks/tasks/options.h"
#include "dblocks/tasks/unit.h"

namespace dblocks::tasks {

/// What the task takes from a resolved recipe.
struct TaskOptions {
  Method method = Method::kDiffusionBlocks;
  models::VitShape shape;
  blocks::BlocksOptions blocks;
  noise::NoiseOptions noise;
  noise::PartitionOptions partition;
  ClassificationOptions classification;
  uint64_t seed = 0;
};

/// Makes the units of one method.
///
/// | method             | units | each unit                                 |
/// | diffusion_blocks   | B     | a block with its outer parts              |
/// | end_to_end         | 1     | the whole plain ViT                       |
/// | end_to_end_shallow | 1     | a plain ViT of as many layers as block 0  |
/// | ensemble           | B     | a plain ViT with the layers of one block  |
/// | greedy             | B     | a stage on the features of those before   |
class ClassificationTask {
 public:
  /// *Errors*: ConfigError for options that do not fit together.
  explicit ClassificationTask(const TaskOptions& options);

  int64_t num_units() const { return static_cast<int64_t>(layers_.size()); }

  /// Layers of a unit, by their index in the stack.
  const blocks::LayerRange& layers(int64_t unit) const { return layers_[unit]; }

  /// Builds unit `unit` with initial weights. These depend on the seed and on
  /// the names of parameters alone, so a unit starts the same in any process.
  /// Under nn::PlaceholderGuard only frozen parts get their values.
  std::unique_ptr<Unit> make_unit(int64_t unit) const;

  const noise::Partition& partition() const { return partition_; }
  const TaskOptions& options() const { return options_; }

 private:
  void initialise(torch::nn::Module& network, int64_t unit) const;
  std::shared_ptr<models::VitStage> make_stage(int64_t unit) const;

  TaskOptions options_;
  noise::Partition partition_;
  std::vector<blocks::LayerRange> layers_;
};

}  // namespace dblocks::tasks
