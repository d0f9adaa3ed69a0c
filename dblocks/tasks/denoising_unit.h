// SPDX-License-Identifier: Apache-2.0
// One block of block-wise training: classification by denoising the label's
// embedding with a cross-entropy loss.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dblocks/blocks/denoiser.h"
#include "dblocks/blocks/options.h"
#include "dblocks/nn/block_network.h"
#include "dblocks/noise/partition.h"
#include "dblocks/tasks/options.h"
#include "dblocks/tasks/unit.h"

namespace dblocks::tasks {

/// The noise of one training batch. *Shapes*: sigma: [N]; epsilon: [N, D].
struct BatchNoise {
  at::Tensor sigma, epsilon;
};

/// Draws a batch's noise for block `key.unit`, on a device: sigma from the
/// block's widened interval, or sigma_max for the `anchor` share of block 0's
/// samples; epsilon standard normal, of the same stream on every device and
/// there the same but for the rounding of its logarithms and sines.
BatchNoise draw_noise(const noise::Partition& partition,
                      double anchor,
                      const StepKey& key,
                      int64_t num_samples,
                      int64_t width,
                      at::Device device = at::kCPU);

/// The weighted cross-entropy of a batch, or what the samples from `first` on
/// add to it: weights are those of the whole batch.
/// *Shapes*: cross_entropy: [n], n <= N; sigma: [N]; result: scalar.
/// *Source*: the paper's equation 6 weighs each sample by w(sigma) (kLiteral);
/// in the published code the product of [N] and [N, 1] broadcasts, so that what
/// is minimised is mean(cross-entropy) * mean(w) (kPublished).
at::Tensor weighted_loss(const at::Tensor& cross_entropy,
                         const at::Tensor& sigma,
                         double sigma_data,
                         LossWeight weight,
                         int64_t first = 0);

class DenoisingUnit : public Unit {
 public:
  DenoisingUnit(int64_t block,
                std::shared_ptr<nn::BlockNetwork> network,
                const noise::Partition& partition,
                double sigma_data,
                const ClassificationOptions& options,
                const blocks::OwnershipOptions& ownership);

  using Unit::loss;
  /// Sigma and epsilon.
  std::vector<at::Tensor> draw(const LabelledBatch& batch,
                               const StepKey& key) const override;
  LossValue loss(const LabelledBatch& batch,
                 const std::vector<at::Tensor>& drawn,
                 const BatchPart& part) override;

  /// The loss of a whole batch with the noise given. *Shapes*: sigma: [N];
  /// epsilon: [N, D].
  LossValue loss_with_noise(const LabelledBatch& batch,
                            const BatchNoise& noise);

  torch::nn::Module& network() override { return denoiser_.network(); }
  std::vector<UnitParameter> parameters() override;
  const blocks::Denoiser& denoiser() const { return denoiser_; }

 private:
  /// `noise` is that of the whole batch.
  LossValue loss_of_part(const LabelledBatch& batch,
                         const BatchNoise& noise,
                         const BatchPart& part);

  int64_t block_;
  blocks::Denoiser denoiser_;
  noise::Partition partition_;
  double sigma_data_;
  ClassificationOptions options_;
  blocks::OwnershipOptions ownership_;
};

}  // namespace dblocks::tasks
