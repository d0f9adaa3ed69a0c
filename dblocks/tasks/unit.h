// SPDX-License-Identifier: Apache-2.0
// What the trainer sees of a method: units, each trained alone. A unit of
// block-wise training is a block; of an end-to-end run, the whole network.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <string>
#include <vector>

#include "dblocks/blocks/options.h"
#include "dblocks/core/batch_part.h"

namespace dblocks::tasks {

/// A batch on the device that trains. *Shapes*: images: [N, C, Y, X] float32;
/// labels: [N] int64.
struct LabelledBatch {
  at::Tensor images, labels;
};

/// Names one optimiser step of one unit; every random number of the step comes
/// from streams keyed by it.
struct StepKey {
  uint64_t seed = 0;
  int64_t unit = 0;
  int64_t step = 0;
};

/// What a forward pass gives.
struct LossValue {
  at::Tensor loss;         ///< scalar with a graph: the weighted loss
  at::Tensor num_correct;  ///< scalar int64: samples whose top class is
                           ///< right; 0 where no class is predicted
};

/// The samples `part` of a batch, as views.
inline LabelledBatch narrow(const LabelledBatch& batch, const BatchPart& part) {
  return {batch.images.narrow(0, part.first, part.count),
          batch.labels.narrow(0, part.first, part.count)};
}

/// A parameter of a unit and who trains it.
struct UnitParameter {
  std::string name;  ///< its name in files
  at::Tensor tensor;
  blocks::Ownership ownership = blocks::Ownership::kPerBlock;
  bool is_matrix = true;  ///< see blocks::is_matrix
};

/// Weights that a unit reads but does not train: those of an earlier unit.
struct Context {
  int64_t unit = 0;
  std::vector<UnitParameter> parameters;
};

/// A network that is trained alone, and its loss.
class Unit {
 public:
  virtual ~Unit() = default;

  /// What is drawn for a step besides dropout: noise and the like of the whole
  /// batch, on its device, in as many tensors and shapes at every step.
  virtual std::vector<at::Tensor> draw(const LabelledBatch& batch,
                                       const StepKey& key) const {
    (void)batch, (void)key;
    return {};
  }

  /// What the samples `part` add to the loss of `batch`, given what was drawn
  /// for the batch. Parts that cover it add up to its loss. Nothing is read
  /// back from the device. *Errors*: those of LibTorch.
  virtual LossValue loss(const LabelledBatch& batch,
                         const std::vector<at::Tensor>& drawn,
                         const BatchPart& part) = 0;

  /// The loss of a whole batch, or of a part of it, at a step.
  LossValue loss(const LabelledBatch& batch,
                 const StepKey& key,
                 const BatchPart& part) {
    return loss(batch, draw(batch, key), part);
  }
  LossValue loss(const LabelledBatch& batch, const StepKey& key) {
    return loss(batch, key, {.first = 0, .count = batch.labels.size(0)});
  }

  /// The network that trains. Its training mode decides about dropout.
  virtual torch::nn::Module& network() = 0;

  /// Parameters of the network, in a fixed order.
  virtual std::vector<UnitParameter> parameters() = 0;

  /// Earlier units whose weights have to be loaded before a step.
  virtual std::vector<Context> context() { return {}; }
};

}  // namespace dblocks::tasks
