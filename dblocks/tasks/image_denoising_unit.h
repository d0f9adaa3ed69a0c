// SPDX-License-Identifier: Apache-2.0
// A unit that learns to denoise images of a class.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dblocks/blocks/options.h"
#include "dblocks/models/dit.h"
#include "dblocks/noise/partition.h"
#include "dblocks/tasks/denoising_unit.h"
#include "dblocks/tasks/generation_options.h"
#include "dblocks/tasks/unit.h"

namespace dblocks::tasks {

/// The labels of a batch as the network is given them: each is replaced by
/// `num_classes`, no label, with probability `dropout`.
/// *Shapes*: labels, result: [N] int64. The numbers are drawn on the CPU from
/// the stream of the step.
at::Tensor drop_labels(const at::Tensor& labels,
                       int64_t num_classes,
                       double dropout,
                       const StepKey& key);

/// Minimises the mean of w(sigma) (D(y + sigma epsilon; sigma) - y)^2 over its
/// interval of sigma. num_correct of its losses is always 0.
/// *Source*: Karras et al. 2022, arXiv 2206.00364, equation 8.
class ImageDenoisingUnit : public Unit {
 public:
  ImageDenoisingUnit(int64_t unit,
                     std::shared_ptr<models::DitNetwork> network,
                     const noise::Partition& partition,
                     double sigma_data,
                     const GenerationOptions& options,
                     const blocks::OwnershipOptions& ownership);

  using Unit::loss;
  /// Sigma, epsilon, and the labels that are left.
  std::vector<at::Tensor> draw(const LabelledBatch& batch,
                               const StepKey& key) const override;
  LossValue loss(const LabelledBatch& batch,
                 const std::vector<at::Tensor>& drawn,
                 const BatchPart& part) override;

  /// The same with labels as the network is given them, and with the noise
  /// given. *Shapes*: noise.sigma: [N]; noise.epsilon: [N, C * Y * X].
  LossValue loss_with_noise(const LabelledBatch& batch,
                            const BatchNoise& noise) const;

  /// D: the clean images as this unit sees them.
  /// *Shapes*: labels: [N] int64, num_classes for no label; z, result:
  /// [N, C, Y, X] float32; sigma: [N] float32.
  at::Tensor denoise(const at::Tensor& labels,
                     const at::Tensor& z,
                     const at::Tensor& sigma) const;

  torch::nn::Module& network() override { return *network_; }
  std::vector<UnitParameter> parameters() override;

 private:
  int64_t unit_;
  std::shared_ptr<models::DitNetwork> network_;
  noise::Partition partition_;
  double sigma_data_;
  GenerationOptions options_;
  blocks::OwnershipOptions ownership_;
};

}  // namespace dblocks::tasks
