// SPDX-License-Identifier: Apache-2.0
// The baselines that block-wise training is compared with, as units of the same
// trainer: plain cross-entropy on a whole network, and greedy local training.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dblocks/blocks/options.h"
#include "dblocks/models/vit.h"
#include "dblocks/tasks/unit.h"

namespace dblocks::tasks {

/// A unit that classifies images without any noise.
class BaselineUnit : public Unit {
 public:
  /// Class logits. *Shapes*: images: [N, C, Y, X]; result: [N, K] float32.
  virtual at::Tensor logits(const at::Tensor& images) const = 0;
};

/// A network trained by plain backpropagation: the end-to-end baseline, the
/// shallow one, or one member of the ensemble.
class PlainUnit : public BaselineUnit {
 public:
  PlainUnit(int64_t index,
            std::shared_ptr<models::VitStage> network,
            double label_smoothing);

  using Unit::loss;
  LossValue loss(const LabelledBatch& batch,
                 const std::vector<at::Tensor>& drawn,
                 const BatchPart& part) override;
  torch::nn::Module& network() override { return *network_; }
  std::vector<UnitParameter> parameters() override;
  at::Tensor logits(const at::Tensor& images) const override;

  /// What the head reads. *Shapes*: images: [N, C, Y, X]; result: [N, D].
  at::Tensor representation(const at::Tensor& images) const;

 private:
  int64_t index_;
  std::shared_ptr<models::VitStage> network_;
  double label_smoothing_;
};

/// Stage `index` of greedy training: it reads the detached features of the
/// stages before it, which are finished, and has a head of its own.
class GreedyUnit : public BaselineUnit {
 public:
  /// `before`: the earlier stages, first one first.
  GreedyUnit(int64_t index,
             std::vector<std::shared_ptr<models::VitStage>> before,
             std::shared_ptr<models::VitStage> own,
             double label_smoothing);

  using Unit::loss;
  LossValue loss(const LabelledBatch& batch,
                 const std::vector<at::Tensor>& drawn,
                 const BatchPart& part) override;
  torch::nn::Module& network() override { return *own_; }
  std::vector<UnitParameter> parameters() override;
  std::vector<Context> context() override;
  at::Tensor logits(const at::Tensor& images) const override;

  /// Hidden state after the stages before this one, without a graph; the images
  /// themselves for stage 0.
  at::Tensor inputs(const at::Tensor& images) const;

 private:
  int64_t index_;
  std::vector<std::shared_ptr<models::VitStage>> before_;
  std::shared_ptr<models::VitStage> own_;
  double label_smoothing_;
};

}  // namespace dblocks::tasks
