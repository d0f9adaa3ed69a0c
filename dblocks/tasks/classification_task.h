// SPDX-License-Identifier: Apache-2.0
// Image classification with a ViT: which units a method consists of, and how
// each one is built and initialised.
#pragma once

#include <cstdint>
#include <memory>

#include "dblocks/models/vit.h"
#include "dblocks/tasks/task.h"

namespace dblocks::tasks {

/// Makes the units of one method.
///
/// | method             | units | each unit                                 |
/// | diffusion_blocks   | B     | a block with its outer parts              |
/// | end_to_end         | 1     | the whole plain ViT                       |
/// | end_to_end_shallow | 1     | a plain ViT of as many layers as block 0  |
/// | ensemble           | B     | a plain ViT with the layers of one block  |
/// | greedy             | B     | a stage on the features of those before   |
class ClassificationTask : public Task {
 public:
  /// *Errors*: ConfigError for options that do not fit together.
  explicit ClassificationTask(const TaskOptions& options);

  std::unique_ptr<Unit> make_unit(int64_t unit) const override;

 private:
  void initialise(torch::nn::Module& network, int64_t unit) const;
  std::shared_ptr<models::VitStage> make_stage(int64_t unit) const;
};

}  // namespace dblocks::tasks
