// SPDX-License-Identifier: Apache-2.0
#include "dblocks/nn/layer_stack.h"

#include <c10/core/GradMode.h>

#include <string>
#include <utility>

#include "dblocks/nn/recompute.h"

namespace dblocks::nn {

LayerStack::LayerStack(int64_t first,
                       int64_t last,
                       const LayerFactory& make_layer) {
  for (int64_t index = first; index < last; ++index) {
    layers_.push_back(
        register_module(std::to_string(index), make_layer(index)));
  }
}

at::Tensor LayerStack::run_all_but_last(at::Tensor h,
                                        const at::Tensor& condition) const {
  const bool recompute = recompute_ && at::GradMode::is_enabled();
  for (size_t i = 0; i + 1 < layers_.size(); ++i) {
    h = recompute ? forward_recomputed(layers_[i], h, condition)
                  : layers_[i]->forward(h, condition);
  }
  return h;
}

at::Tensor LayerStack::forward(at::Tensor h,
                               const at::Tensor& condition) const {
  if (layers_.empty()) {
    return h;
  }
  return layers_.back()->forward(run_all_but_last(std::move(h), condition),
                                 condition);
}

at::Tensor LayerStack::forward_first_token(at::Tensor h,
                                           const at::Tensor& condition) const {
  if (layers_.empty()) {
    return h.narrow(1, 0, 1);
  }
  return layers_.back()->forward_first_token(
      run_all_but_last(std::move(h), condition), condition);
}

}  // namespace dblocks::nn
