// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/nn/module.h>

namespace dblocks::nn {

/// The scalings of EDM preconditioning, one value per sample.
/// *Shapes*: [N] float32 each.
struct NoiseScales {
  at::Tensor skip, out, in, noise;
};

/// The network of one block: its layers between its own copies of the outer
/// parts. Everything about noise reaches it through `scales`.
class BlockNetwork : public torch::nn::Module {
 public:
  /// Predicts class logits for a clean input and a noisy target.
  /// *Shapes*: input: the task's own, sample first; z: [N, D] float32; result:
  /// [N, K] float32.
  virtual at::Tensor forward(const at::Tensor& input,
                             const at::Tensor& z,
                             const NoiseScales& scales) = 0;

  /// The table of clean targets, one row per class. *Shapes*: [K, D].
  virtual const at::Tensor& target_table() const = 0;
};

}  // namespace dblocks::nn
