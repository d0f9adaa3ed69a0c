// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/image_denoising_unit.h"

#include <ATen/ops/zeros.h>

#include <utility>

#include "dblocks/blocks/regression.h"
#include "dblocks/core/error.h"
#include "dblocks/core/random.h"
#include "dblocks/tasks/unit_parameters.h"

namespace dblocks::tasks {
namespace {

/// The network on flat images: what blocks/regression.h asks for.
blocks::RawNetwork on_flat_images(const models::DitNetwork& network) {
  return [&network](const at::Tensor& labels, const at::Tensor& scaled,
                    const at::Tensor& noise) {
    const models::DitShape& shape = network.shape();
    return network
        .forward(labels,
                 scaled.view({-1, shape.channels, shape.rows, shape.columns}),
                 noise)
        .flatten(1);
  };
}

}  // namespace

at::Tensor drop_labels(const at::Tensor& labels,
                       int64_t num_classes,
                       double dropout,
                       const StepKey& key) {
  if (dropout == 0) {
    return labels;
  }
  RandomStream stream(key.seed, RandomPurpose::kLabelDropout, key.unit,
                      key.step);
  at::Tensor dropped = labels.to(at::kCPU, at::kLong, false, /*copy=*/true);
  auto* values = dropped.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < dropped.numel(); ++i) {
    if (stream.next_uniform() < dropout) {
      values[i] = num_classes;
    }
  }
  return dropped.to(labels.device());
}

ImageDenoisingUnit::ImageDenoisingUnit(
    int64_t unit,
    std::shared_ptr<models::DitNetwork> network,
    const noise::Partition& partition,
    double sigma_data,
    const GenerationOptions& options,
    const blocks::OwnershipOptions& ownership)
    : unit_(unit),
      network_(std::move(network)),
      partition_(partition),
      sigma_data_(sigma_data),
      options_(options),
      ownership_(ownership) {}

std::vector<at::Tensor> ImageDenoisingUnit::draw(const LabelledBatch& batch,
                                                 const StepKey& key) const {
  DBLOCKS_ASSERT(key.unit == unit_, "unit {} asked for a step of unit {}",
                 unit_, key.unit);
  const BatchNoise noise =
      draw_noise(partition_, 0, key, batch.images.size(0),
                 batch.images[0].numel(), batch.images.device());
  return {noise.sigma, noise.epsilon,
          drop_labels(batch.labels, network_->shape().num_classes,
                      options_.label_dropout, key)};
}

LossValue ImageDenoisingUnit::loss(const LabelledBatch& batch,
                                   const std::vector<at::Tensor>& drawn,
                                   const BatchPart& part) {
  const BatchNoise noise{drawn[0].narrow(0, part.first, part.count),
                         drawn[1].narrow(0, part.first, part.count)};
  LossValue value =
      loss_with_noise(narrow({batch.images, drawn[2]}, part), noise);
  value.loss = value.loss * (static_cast<double>(part.count) /
                             static_cast<double>(batch.images.size(0)));
  return value;
}

LossValue ImageDenoisingUnit::loss_with_noise(const LabelledBatch& batch,
                                              const BatchNoise& noise) const {
  return {blocks::denoising_loss(on_flat_images(*network_), batch.labels,
                                 batch.images.flatten(1), noise.epsilon,
                                 noise.sigma, sigma_data_),
          at::zeros({}, batch.labels.options())};
}

at::Tensor ImageDenoisingUnit::denoise(const at::Tensor& labels,
                                       const at::Tensor& z,
                                       const at::Tensor& sigma) const {
  return blocks::denoise(on_flat_images(*network_), labels, z.flatten(1), sigma,
                         sigma_data_)
      .view_as(z);
}

std::vector<UnitParameter> ImageDenoisingUnit::parameters() {
  return unit_parameters(*network_, unit_, ownership_);
}

}  // namespace dblocks::tasks
