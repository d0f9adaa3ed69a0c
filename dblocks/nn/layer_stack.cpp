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

}  // namespace dblocks::nn
