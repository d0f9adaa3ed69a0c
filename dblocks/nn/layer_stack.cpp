// SPDX-License-Identifier: Apache-2.0
#include "dblocks/nn/layer_stack.h"

#include <string>

namespace dblocks::nn {

LayerStack::LayerStack(int64_t first,
                       int64_t last,
                       const LayerFactory& make_layer) {
  for (int64_t index = first; index < last; ++index) {
    layers_.push_back(
        register_module(std::to_string(index), make_layer(index)));
  }
}

at::Tensor LayerStack::forward(at::Tensor h,
                               const at::Tensor& condition) const {
  for (const auto& layer : layers_) {
    h = layer->forward(h, condition);
  }
  return h;
}

at::Tensor LayerStack::forward_first_token(at::Tensor h,
                                           const at::Tensor& condition) const {
  if (layers_.empty()) {
    return h.narrow(1, 0, 1);
  }
  for (size_t i = 0; i + 1 < layers_.size(); ++i) {
    h = layers_[i]->forward(h, condition);
  }
  return layers_.back()->forward_first_token(h, condition);
}

}  // namespace dblocks::nn
