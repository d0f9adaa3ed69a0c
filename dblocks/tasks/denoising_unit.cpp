// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/denoising_unit.h"

#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones_like.h>
#include <c10/core/GradMode.h>

#include <utility>

#include "dblocks/core/error.h"
#include "dblocks/core/random.h"
#include "dblocks/tasks/bridge.h"
#include "dblocks/tasks/unit_parameters.h"

namespace dblocks::tasks {

BatchNoise draw_noise(const noise::Partition& partition,
                      double anchor,
                      const StepKey& key,
                      int64_t num_samples,
                      int64_t width) {
  BatchNoise noise{at::empty({num_samples}, at::kFloat),
                   at::empty({num_samples, width}, at::kFloat)};
  RandomStream sigmas(key.seed, RandomPurpose::kSigma, key.unit, key.step);
  RandomStream anchors(key.seed, RandomPurpose::kAnchor, key.unit, key.step);
  float* sigma = noise.sigma.mutable_data_ptr<float>();
  const double sigma_max = partition.interval(0).high;
  for (int64_t i = 0; i < num_samples; ++i) {
    const double drawn =
        partition.sample_sigma(key.unit, sigmas.next_uniform());
    const bool anchored =
        key.unit == 0 && anchor > 0 && anchors.next_uniform() < anchor;
    sigma[i] = static_cast<float>(anchored ? sigma_max : drawn);
  }
  RandomStream epsilon(key.seed, RandomPurpose::kNoise, key.unit, key.step);
  epsilon.fill_normal({noise.epsilon.mutable_data_ptr<float>(),
                       static_cast<size_t>(noise.epsilon.numel())});
  return noise;
}

at::Tensor weighted_loss(const at::Tensor& cross_entropy,
                         const at::Tensor& sigma,
                         double sigma_data,
                         LossWeight weight) {
  if (weight == LossWeight::kNone) {
    return cross_entropy.mean();
  }
  const at::Tensor w = blocks::loss_weights(sigma, sigma_data);
  switch (weight) {
    case LossWeight::kPublished:
      return cross_entropy.mean() * w.mean();
    case LossWeight::kLiteral:
      return (cross_entropy * w).mean();
    default:
      return (cross_entropy * (w / w.mean())).mean();
  }
}

DenoisingUnit::DenoisingUnit(int64_t block,
                             std::shared_ptr<nn::BlockNetwork> network,
                             const noise::Partition& partition,
                             double sigma_data,
                             const ClassificationOptions& options,
                             const blocks::OwnershipOptions& ownership)
    : block_(block),
      denoiser_(std::move(network), sigma_data),
      partition_(partition),
      sigma_data_(sigma_data),
      options_(options),
      ownership_(ownership) {}

LossValue DenoisingUnit::loss(const LabelledBatch& batch, const StepKey& key) {
  DBLOCKS_ASSERT(key.unit == block_, "block {} asked for a step of block {}",
                 block_, key.unit);
  const int64_t width = denoiser_.network().target_table().size(1);
  BatchNoise noise =
      draw_noise(partition_, options_.anchor, key, batch.labels.size(0), width);
  const at::Device device = batch.images.device();
  noise.sigma = noise.sigma.to(device);
  noise.epsilon = noise.epsilon.to(device);
  return loss_with_noise(batch, noise);
}

LossValue DenoisingUnit::loss_with_noise(const LabelledBatch& batch,
                                         const BatchNoise& noise) {
  const at::Tensor y =
      clean_targets(denoiser_.network().target_table(), batch.labels);
  const at::Tensor z = y + noise.epsilon * noise.sigma.unsqueeze(-1);
  const at::Tensor logits = denoiser_.logits(batch.images, z, noise.sigma);
  const at::Tensor cross_entropy =
      at::cross_entropy_loss(logits, batch.labels, {}, at::Reduction::None,
                             -100, options_.label_smoothing);
  return {weighted_loss(cross_entropy, noise.sigma, sigma_data_,
                        options_.loss_weight),
          logits.detach().argmax(-1).eq(batch.labels).sum()};
}

std::vector<UnitParameter> DenoisingUnit::parameters() {
  return unit_parameters(network(), block_, ownership_);
}

}  // namespace dblocks::tasks
