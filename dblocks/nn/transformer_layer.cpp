// SPDX-License-Identifier: Apache-2.0
#include "dblocks/nn/transformer_layer.h"

#include <ATen/ops/silu.h>
#include <ATen/ops/zeros.h>

#include "dblocks/nn/init.h"
#include "dblocks/ops/dropout.h"
#include "dblocks/ops/gelu.h"
#include "dblocks/ops/linear.h"
#include "dblocks/ops/residual.h"

namespace dblocks::nn {

Modulation::Modulation(int64_t condition_width,
                       int64_t width,
                       int64_t parts,
                       ModulationOrder order)
    : parts_(parts), order_(order) {
  weight = register_parameter("weight",
                              initial_zeros({parts * width, condition_width}));
  bias = register_parameter("bias", at::zeros({parts * width}));
}

std::vector<at::Tensor> Modulation::forward(const at::Tensor& condition) const {
  at::Tensor all = ops::linear(condition, weight, bias);
  if (order_ == ModulationOrder::kLinearSilu) {
    all = at::silu(all);
  }
  return all.chunk(parts_, -1);
}

Mlp::Mlp(int64_t width,
         int64_t hidden,
         at::ScalarType compute,
         Activation activation)
    : activation_(activation),
      up_(std::make_shared<Linear>(width, hidden, compute)),
      down_(std::make_shared<Linear>(hidden, width, compute)) {
  register_module("up", up_);
  register_module("down", down_);
}

at::Tensor Mlp::forward(const at::Tensor& x) const {
  const at::Tensor wide = up_->forward(x);
  return down_->forward(activation_ == Activation::kGelu
                            ? ops::gelu(wide)
                            : ops::gelu_tanh(wide));
}

TransformerLayer::TransformerLayer(const TransformerLayerOptions& options)
    : options_(options),
      attention_norm_(std::make_shared<NormParameters>(options.width,
                                                       options.norm_trained)),
      mlp_norm_(std::make_shared<NormParameters>(options.width,
                                                 options.norm_trained)),
      attention_(std::make_shared<SelfAttention>(
          options.width, options.heads, options.dropout, options.compute)),
      mlp_(std::make_shared<Mlp>(options.width,
                                 options.mlp_width,
                                 options.compute,
                                 options.activation)) {
  register_module("attention_norm", attention_norm_);
  register_module("attention", attention_);
  register_module("mlp_norm", mlp_norm_);
  register_module("mlp", mlp_);
  if (options.condition_width > 0) {
    modulation_ = register_module(
        "modulation",
        std::make_shared<Modulation>(options.condition_width, options.width, 6,
                                     options.modulation));
  }
}

at::Tensor TransformerLayer::drop(const at::Tensor& branch) const {
  const bool active = is_training() && options_.dropout > 0;
  return active ? ops::dropout(branch, options_.dropout) : branch;
}

std::vector<at::Tensor> TransformerLayer::modulate(
    const at::Tensor& condition) const {
  if (!modulation_) {
    return std::vector<at::Tensor>(6);
  }
  std::vector<at::Tensor> m = modulation_->forward(condition);
  if (options_.gate_offset != 0) {
    m[2] = m[2] + options_.gate_offset;
    m[5] = m[5] + options_.gate_offset;
  }
  return m;
}

at::Tensor TransformerLayer::norm(const at::Tensor& x,
                                  const NormParameters& parameters,
                                  const at::Tensor& shift,
                                  const at::Tensor& scale) const {
  return ops::norm_modulate(x, parameters.weight, parameters.bias,
                            options_.layer_norm_eps, shift, scale,
                            options_.compute);
}

at::Tensor TransformerLayer::add_mlp(
    const at::Tensor& h, const std::vector<at::Tensor>& modulation) const {
  const at::Tensor x = norm(h, *mlp_norm_, modulation[3], modulation[4]);
  return ops::gated_residual(h, drop(mlp_->forward(x)), modulation[5]);
}

at::Tensor TransformerLayer::forward(const at::Tensor& h,
                                     const at::Tensor& condition) {
  const std::vector<at::Tensor> m = modulate(condition);
  const at::Tensor x = norm(h, *attention_norm_, m[0], m[1]);
  return add_mlp(ops::gated_residual(h, drop(attention_->forward(x)), m[2]), m);
}

at::Tensor TransformerLayer::forward_first_token(const at::Tensor& h,
                                                 const at::Tensor& condition) {
  const std::vector<at::Tensor> m = modulate(condition);
  const at::Tensor x = norm(h, *attention_norm_, m[0], m[1]);
  const at::Tensor branch = drop(attention_->forward_first_token(x));
  return add_mlp(ops::gated_residual(h.narrow(1, 0, 1), branch, m[2]), m);
}

}  // namespace dblocks::nn
