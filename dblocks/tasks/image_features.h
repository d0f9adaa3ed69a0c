// SPDX-License-Identifier: Apache-2.0
// What sets of images are compared by.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dblocks/tasks/baseline_units.h"

namespace dblocks::tasks {

/// Turns images into vectors. *Threads*: one at a time.
class ImageFeatures {
 public:
  virtual ~ImageFeatures() = default;

  /// Everything that changes the numbers: kind of network, its weights.
  virtual std::string name() const = 0;
  /// How images are scaled before, in words.
  virtual std::string resize() const { return "no resize"; }

  /// *Shapes*: pixels: [N, Y, X, C] uint8 on the CPU; result: [N, F] float32 on
  /// the CPU.
  virtual at::Tensor operator()(const at::Tensor& pixels) const = 0;
};

/// The pixels themselves, in [0, 1].
class PixelFeatures : public ImageFeatures {
 public:
  std::string name() const override { return "pixels"; }
  at::Tensor operator()(const at::Tensor& pixels) const override;
};

/// What the head of a trained classifier reads: the class token after the final
/// norm.
class ClassifierFeatures : public ImageFeatures {
 public:
  /// `weights_hash` names the weights; mean and std are those of the pixels
  /// that the classifier was trained on, one number a channel.
  ClassifierFeatures(std::unique_ptr<PlainUnit> classifier,
                     const std::string& weights_hash,
                     const std::vector<double>& mean,
                     const std::vector<double>& std);

  std::string name() const override { return "classifier-" + weights_hash_; }
  at::Tensor operator()(const at::Tensor& pixels) const override;

  /// The likeliest class of each image. *Shapes*: pixels: as above; result: [N]
  /// int64.
  at::Tensor classes(const at::Tensor& pixels) const;

 private:
  at::Tensor normalised(const at::Tensor& pixels) const;

  std::unique_ptr<PlainUnit> classifier_;
  std::string weights_hash_;
  at::Tensor mean_, std_;  // [1, C, 1, 1]
};

}  // namespace dblocks::tasks
