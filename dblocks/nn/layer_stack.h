// SPDX-License-Identifier: Apache-2.0
// What dblocks asks of a network: residual layers that can be run one after
// another and cut anywhere between two of them.
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace dblocks::nn {

/// One residual unit. It maps a hidden state to one of the same shape and may
/// read a condition per sample (an embedding of sigma, say).
class ResidualLayer : public torch::nn::Module {
 public:
  /// *Shapes*: h: [N, T, D] float32; condition: [N, E], or undefined.
  virtual at::Tensor forward(const at::Tensor& h,
                             const at::Tensor& condition) = 0;

  /// The first token of forward(h, condition). A layer overrides this where it
  /// can leave out work that only the other tokens need.
  /// *Shapes*: result: [N, 1, D].
  virtual at::Tensor forward_first_token(const at::Tensor& h,
                                         const at::Tensor& condition) {
    return forward(h, condition).narrow(1, 0, 1);
  }
};

/// Makes layer `index` of the whole stack.
using LayerFactory =
    std::function<std::shared_ptr<ResidualLayer>(int64_t index)>;

/// The layers first .. last - 1 of a stack, registered under their index in the
/// whole stack, so that a layer's name does not depend on the cut.
class LayerStack : public torch::nn::Module {
 public:
  LayerStack(int64_t first, int64_t last, const LayerFactory& make_layer);

  /// Runs the layers in order. *Shapes*: as ResidualLayer::forward.
  at::Tensor forward(at::Tensor h, const at::Tensor& condition) const;

  /// The first token of forward(h, condition), for a head that reads no other:
  /// most of the last layer's work and activations is then never needed. In a
  /// block of few layers that is a large share of all.
  /// *Shapes*: result: [N, 1, D].
  at::Tensor forward_first_token(at::Tensor h,
                                 const at::Tensor& condition) const;

  /// Whether every layer but the last keeps its input alone and is run again in
  /// the backward pass (see forward_recomputed). The last layer's derivative
  /// comes first, when all it keeps is still wanted. Off at first.
  void set_recompute(bool recompute) { recompute_ = recompute; }

 private:
  at::Tensor run_all_but_last(at::Tensor h, const at::Tensor& condition) const;

  std::vector<std::shared_ptr<ResidualLayer>> layers_;
  bool recompute_ = false;
};

}  // namespace dblocks::nn
