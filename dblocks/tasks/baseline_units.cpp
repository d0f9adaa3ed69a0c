// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/baseline_units.h"

#include <ATen/ops/cross_entropy_loss.h>
#include <c10/core/GradMode.h>

#include <utility>

#include "dblocks/tasks/unit_parameters.h"

namespace dblocks::tasks {
namespace {

/// What some samples add to the mean cross-entropy of a batch of
/// `batch_size`.
LossValue plain_loss(const at::Tensor& logits,
                     const at::Tensor& labels,
                     int64_t batch_size,
                     double label_smoothing) {
  const double share =
      static_cast<double>(labels.size(0)) / static_cast<double>(batch_size);
  return {at::cross_entropy_loss(logits, labels, {}, at::Reduction::Mean, -100,
                                 label_smoothing) *
              share,
          logits.detach().argmax(-1).eq(labels).sum()};
}

}  // namespace

PlainUnit::PlainUnit(int64_t index,
                     std::shared_ptr<models::VitStage> network,
                     double label_smoothing)
    : index_(index),
      network_(std::move(network)),
      label_smoothing_(label_smoothing) {}

at::Tensor PlainUnit::logits(const at::Tensor& images) const {
  return network_->logits(images);
}

at::Tensor PlainUnit::representation(const at::Tensor& images) const {
  return network_->representation(images);
}

LossValue PlainUnit::loss(const LabelledBatch& batch,
                          const std::vector<at::Tensor>&,
                          const BatchPart& part) {
  const auto [images, labels] = narrow(batch, part);
  return plain_loss(logits(images), labels, batch.labels.size(0),
                    label_smoothing_);
}

std::vector<UnitParameter> PlainUnit::parameters() {
  return unit_parameters(*network_, index_, {});
}

GreedyUnit::GreedyUnit(int64_t index,
                       std::vector<std::shared_ptr<models::VitStage>> before,
                       std::shared_ptr<models::VitStage> own,
                       double label_smoothing)
    : index_(index),
      before_(std::move(before)),
      own_(std::move(own)),
      label_smoothing_(label_smoothing) {
  for (const auto& stage : before_) {
    stage->eval();
  }
}

at::Tensor GreedyUnit::inputs(const at::Tensor& images) const {
  c10::NoGradGuard no_grad;
  at::Tensor hidden = images;
  for (const auto& stage : before_) {
    hidden = stage->features(hidden);
  }
  return hidden;
}

at::Tensor GreedyUnit::logits(const at::Tensor& images) const {
  return own_->logits(inputs(images));
}

LossValue GreedyUnit::loss(const LabelledBatch& batch,
                           const std::vector<at::Tensor>&,
                           const BatchPart& part) {
  const auto [images, labels] = narrow(batch, part);
  return plain_loss(logits(images), labels, batch.labels.size(0),
                    label_smoothing_);
}

std::vector<UnitParameter> GreedyUnit::parameters() {
  return unit_parameters(*own_, index_, {});
}

std::vector<Context> GreedyUnit::context() {
  std::vector<Context> result;
  for (size_t i = 0; i < before_.size(); ++i) {
    const auto unit = static_cast<int64_t>(i);
    result.push_back({unit, unit_parameters(*before_[i], unit, {})});
  }
  return result;
}

}  // namespace dblocks::tasks
