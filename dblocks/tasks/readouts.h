// SPDX-License-Identifier: Apache-2.0
// Ways to turn the blocks of a trained classifier into one answer.
//
// Blocks are loaded one after another: every image passes block 0, then every
// image block 1, so that evaluation, like training, holds one block at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dblocks/metrics/classification.h"
#include "dblocks/tasks/classification_task.h"
#include "dblocks/tasks/options.h"
#include "dblocks/tasks/unit.h"

namespace dblocks::tasks {

/// Images in evaluation order: `labels` holds all of them, `images(first,
/// count)` gives a slice [count, C, Y, X] on the device that evaluates.
struct LabelledSet {
  std::vector<int64_t> labels;
  std::function<at::Tensor(int64_t first, int64_t count)> images;

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
};

/// What one readout achieved: after each block, and pooled over blocks (the
/// normalised exponential of the mean of their log-probabilities).
struct ReadoutResult {
  std::string name;
  /// Whether the readout's own answer is the pooled one, or the last block's.
  bool answers_pooled = false;
  std::vector<metrics::ClassificationMetrics> after_block;
  metrics::ClassificationMetrics pooled;
  /// Log-probabilities that these were measured on, [n, K], on the CPU: after
  /// each block, and pooled.
  std::vector<at::Tensor> log_probabilities;
  at::Tensor pooled_log_probabilities;

  const metrics::ClassificationMetrics& answer() const {
    return answers_pooled ? pooled : after_block.back();
  }
};

/// What a chain says of single images.
struct Prediction {
  /// The readout asked: renoised_chain, or the method's name for a baseline.
  std::string readout;
  bool answers_pooled = false;
  /// After each block, and pooled: probabilities [N, classes] on the CPU.
  std::vector<at::Tensor> after_block;
  at::Tensor pooled;

  const at::Tensor& answer() const {
    return answers_pooled ? pooled : after_block.back();
  }
};

/// Makes a unit and loads its trained weights.
using UnitLoader = std::function<std::unique_ptr<Unit>(int64_t unit)>;

/// Called now and then with the share of the work that is done, in [0, 1].
using EvaluationProgress = std::function<void(double share)>;

/// Evaluates a classifier with every readout that its method has.
///
/// diffusion_blocks, M = options.draws:
///   stochastic_chain  the published sampler: start from noise, Euler steps on
///                     the quantile schedule; answers with the last block
///   averaged_chain    the mean of M stochastic chains
///   noise_free_chain  z = the expected target so far (at first 0), each block
///                     asked at the upper end of its interval; last block
///   renoised_chain    z = the expected target so far + sigma_b * noise, M
///                     draws averaged in each block; answers pooled
///   fresh_blocks      z = sigma_b * noise, nothing passed on, M draws; pooled
/// Baselines have one readout, named after the method; the ensemble answers
/// pooled, the others with their last unit.
///
/// Noise is keyed by (seed, image, draw), so results do not depend on the batch
/// size.
std::vector<ReadoutResult> evaluate(const ClassificationTask& task,
                                    const UnitLoader& load_unit,
                                    const LabelledSet& set,
                                    const ReadoutOptions& options,
                                    const EvaluationProgress& progress = {});

/// Asks the readout that the program quotes about images without labels.
/// *Shapes*: images: [N, C, Y, X], on the device that evaluates. Every image
/// gets the same noise, so its answer does not depend on the others.
Prediction predict(const ClassificationTask& task,
                   const UnitLoader& load_unit,
                   const at::Tensor& images,
                   const ReadoutOptions& options);

}  // namespace dblocks::tasks
