// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/image_features.h"

#include <ATen/ops/cat.h>
#include <c10/core/InferenceMode.h>

#include <functional>
#include <utility>

#include "dblocks/tasks/per_channel.h"

namespace dblocks::tasks {
namespace {

constexpr int64_t kImagesAtOnce = 500;

/// Pixels [N, Y, X, C] as [N, C, Y, X] in [0, 1].
at::Tensor as_values(const at::Tensor& pixels) {
  return pixels.permute({0, 3, 1, 2}).to(at::kFloat).div(255).contiguous();
}

at::Tensor in_chunks(const at::Tensor& pixels,
                     const std::function<at::Tensor(const at::Tensor&)>& of) {
  c10::InferenceMode inference;
  std::vector<at::Tensor> parts;
  for (const at::Tensor& chunk : pixels.split(kImagesAtOnce)) {
    parts.push_back(of(chunk).to(at::kCPU));
  }
  return at::cat(parts);
}

}  // namespace

at::Tensor PixelFeatures::operator()(const at::Tensor& pixels) const {
  return as_values(pixels).flatten(1);
}

ClassifierFeatures::ClassifierFeatures(std::unique_ptr<PlainUnit> classifier,
                                       const std::string& weights_hash,
                                       const std::vector<double>& mean,
                                       const std::vector<double>& std)
    : classifier_(std::move(classifier)),
      weights_hash_(weights_hash),
      mean_(per_channel(mean, at::kFloat)),
      std_(per_channel(std, at::kFloat)) {
  classifier_->network().eval();
}

at::Tensor ClassifierFeatures::normalised(const at::Tensor& pixels) const {
  const at::Device device = classifier_->network().parameters()[0].device();
  return ((as_values(pixels) - mean_) / std_).to(device);
}

at::Tensor ClassifierFeatures::operator()(const at::Tensor& pixels) const {
  return in_chunks(pixels, [&](const at::Tensor& chunk) {
    return classifier_->representation(normalised(chunk));
  });
}

at::Tensor ClassifierFeatures::classes(const at::Tensor& pixels) const {
  return in_chunks(pixels, [&](const at::Tensor& chunk) {
    return classifier_->logits(normalised(chunk)).argmax(-1);
  });
}

}  // namespace dblocks::tasks
