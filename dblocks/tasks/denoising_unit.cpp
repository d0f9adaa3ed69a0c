// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/denoising_unit.h"

#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones_like.h>
#include <c10/core/GradMode.h>

#include <utility>

#include "dblocks/core/error.h"
#include "dblocks/core/random.h"
#include "dblocks/ops/normal_noise.h"
#include "dblocks/tasks/bridge.h"
#include "dblocks/tasks/unit_parameters.h"

namespace dblocks::tasks {

BatchNoise draw_noise(const noise::Partition& partition,
                      double anchor,
                      const StepKey& key,
                      int64_t num_samples,
                      int64_t width,
                      at::Device device) {
  BatchNoise noise{at::empty({num_samples}, at::kFloat), {}};
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
  noise.sigma = noise.sigma.to(device);
  noise.epsilon = ops::normal_noise(
      {key.seed, RandomPurpose::kNoise, static_cast<uint64_t>(key.unit),
       static_cast<uint64_t>(key.step)},
      {num_samples, width}, device);
  return noise;
}

at::Tensor weighted_loss(const at::Tensor& cross_entropy,
                         const at::Tensor& sigma,
                         double sigma_data,
                         LossWeight weight,
                         int64_t first) {
  const auto samples = static_cast<double>(sigma.size(0));
  if (weight == LossWeight::kNone) {
    return cross_entropy.sum() / samples;
  }
  const at::Tensor w = blocks::loss_weights(sigma, sigma_data);
  if (weight == LossWeight::kPublished) {
    return cross_entropy.sum() / samples * w.mean();
  }
  const at::Tensor factor = weight == LossWeight::kLiteral ? w : w / w.mean();
  return (cross_entropy * factor.narrow(0, first, cross_entropy.size(0)))
             .sum() /
         samples;
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

std::vector<at::Tensor> DenoisingUnit::draw(const LabelledBatch& batch,
                                            const StepKey& key) const {
  DBLOCKS_ASSERT(key.unit == block_, "block {} asked for a step of block {}",
                 block_, key.unit);
  const int64_t width = denoiser_.network().target_table().size(1);
  const BatchNoise noise =
      draw_noise(partition_, options_.anchor, key, batch.labels.size(0), width,
                 batch.images.device());
  return {noise.sigma, noise.epsilon};
}

LossValue DenoisingUnit::loss(const LabelledBatch& batch,
                              const std::vector<at::Tensor>& drawn,
                              const BatchPart& part) {
  return loss_of_part(batch, {drawn[0], drawn[1]}, part);
}

LossValue DenoisingUnit::loss_with_noise(const LabelledBatch& batch,
                                         const BatchNoise& noise) {
  return loss_of_part(batch, noise,
                      {.first = 0, .count = batch.labels.size(0)});
}

LossValue DenoisingUnit::loss_of_part(const LabelledBatch& batch,
                                      const BatchNoise& noise,
                                      const BatchPart& part) {
  const auto [images, labels] = narrow(batch, part);
  const at::Tensor sigma = noise.sigma.narrow(0, part.first, part.count);
  const at::Tensor epsilon = noise.epsilon.narrow(0, part.first, part.count);
  const at::Tensor y =
      clean_targets(denoiser_.network().target_table(), labels);
  const at::Tensor z = y + epsilon * sigma.unsqueeze(-1);
  const at::Tensor logits = denoiser_.logits(images, z, sigma);
  const at::Tensor cross_entropy = at::cross_entropy_loss(
      logits, labels, {}, at::Reduction::None, -100, options_.label_smoothing);
  return {weighted_loss(cross_entropy, noise.sigma, sigma_data_,
                        options_.loss_weight, part.first),
          logits.detach().argmax(-1).eq(labels).sum()};
}

std::vector<UnitParameter> DenoisingUnit::parameters() {
  return unit_parameters(network(), block_, ownership_);
}

}  // namespace dblocks::tasks
