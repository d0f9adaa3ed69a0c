// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "dblocks/nn/layer_stack.h"

namespace dblocks::nn {

/// layer->forward(h, condition), of which only `h` and `condition` are kept for
/// the backward pass: that runs the layer again, from the same random numbers
/// of LibTorch's generators, when the layer's turn comes. Result and gradients
/// are those of the plain call, bit for bit where the layer's operations give
/// the same bits twice.
///
/// The parameters' gradients are added to their .grad() in the backward pass:
/// use backward(), not autograd::grad(), and no second derivatives. The layer
/// must not change anything but its result when it runs.
/// *Shapes*: as ResidualLayer::forward.
/// *Source*: Chen et al. 2016, arXiv 1604.06174.
at::Tensor forward_recomputed(const std::shared_ptr<ResidualLayer>& layer,
                              const at::Tensor& h,
                              const at::Tensor& condition);

/// Sets LayerStack::set_recompute of every stack in `network`.
void set_recompute(torch::nn::Module& network, bool recompute);

}  // namespace dblocks::nn
