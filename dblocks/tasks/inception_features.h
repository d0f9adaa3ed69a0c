// SPDX-License-Identifier: Apache-2.0
// Features of Inception-v3, those of the FID of the literature.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>

#include "dblocks/models/inception.h"
#include "dblocks/tasks/generation_options.h"
#include "dblocks/tasks/image_features.h"

namespace dblocks::tasks {

/// Scales images to `side` x `side` as `rule` does. *Shapes*: values: [N, C, Y,
/// X] float32 in [0, 255]; result: [N, C, side, side] float32.
at::Tensor resize_images(const at::Tensor& values,
                         InceptionResize rule,
                         int64_t side);

/// Grey images are taken as colour images of three equal channels.
class InceptionFeatures : public ImageFeatures {
 public:
  static constexpr int64_t kNumFeatures = models::Inception::kNumFeatures;

  /// `weights_hash` names the weights.
  InceptionFeatures(models::Inception network,
                    std::string weights_hash,
                    InceptionResize rule);

  std::string name() const override { return "inception-" + weights_hash_; }
  std::string resize() const override;
  at::Tensor operator()(const at::Tensor& pixels) const override;

 private:
  models::Inception network_;
  std::string weights_hash_;
  InceptionResize rule_;
};

}  // namespace dblocks::tasks
