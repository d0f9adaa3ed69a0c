// SPDX-License-Identifier: Apache-2.0
#include "dblocks/nn/linear.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include "dblocks/nn/init.h"
#include "dblocks/ops/linear.h"

namespace dblocks::nn {

Linear::Linear(int64_t in, int64_t out, at::ScalarType compute)
    : compute_(compute) {
  weight = register_parameter("weight", initial_zeros({out, in}));
  bias = register_parameter("bias", initial_zeros({out}));
}

at::Tensor Linear::forward(const at::Tensor& x) const {
  // to() returns the tensor itself where the type is right already.
  return ops::linear(x.to(compute_), weight.to(compute_), bias.to(compute_));
}

at::Tensor Linear::forward_part(const at::Tensor& x,
                                int64_t first,
                                int64_t count) const {
  return ops::linear(x.to(compute_),
                     weight.narrow(0, first, count).to(compute_),
                     bias.narrow(0, first, count).to(compute_));
}

NormParameters::NormParameters(int64_t width, bool trained) {
  if (!trained) {
    weight = register_buffer("weight", at::ones({width}));
    bias = register_buffer("bias", at::zeros({width}));
    return;
  }
  weight = register_parameter("weight", at::ones({width}));
  bias = register_parameter("bias", at::zeros({width}));
}

}  // namespace dblocks::nn
