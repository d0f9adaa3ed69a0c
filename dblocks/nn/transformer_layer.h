// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "dblocks/nn/attention.h"
#include "dblocks/nn/layer_stack.h"
#include "dblocks/nn/linear.h"

namespace dblocks::nn {

/// How a modulation is computed from the condition c.
enum class ModulationOrder {
  kLinearSilu,  ///< SiLU(Linear(SiLU(c))): the published DiffusionBlocks code
  kSiluLinear,  ///< Linear(SiLU(c)): DiT
};

/// Per-sample shifts, scales and gates from a condition that has been through
/// SiLU already. Zero-initialised, so that a fresh layer with gate_offset 0 is
/// the identity.
/// *Source*: adaLN-zero, Peebles and Xie 2023, arXiv 2212.09748, section 3.2.
class Modulation : public torch::nn::Module {
 public:
  /// `parts` tensors of `width` are cut from one linear layer.
  Modulation(int64_t condition_width,
             int64_t width,
             int64_t parts,
             ModulationOrder order);

  /// *Shapes*: condition: [N, E]; each result: [N, D], float32.
  std::vector<at::Tensor> forward(const at::Tensor& condition) const;

  at::Tensor weight, bias;  // [parts * D, E], [parts * D]

 private:
  int64_t parts_;
  ModulationOrder order_;
};

/// Which form of GELU an MLP has.
enum class Activation {
  kGelu,      ///< exact
  kGeluTanh,  ///< the tanh approximation: DiT
};

/// The feed-forward half: down(gelu(up(x))).
class Mlp : public torch::nn::Module {
 public:
  Mlp(int64_t width,
      int64_t hidden,
      at::ScalarType compute,
      Activation activation = Activation::kGelu);
  at::Tensor forward(const at::Tensor& x) const;

 private:
  Activation activation_;
  std::shared_ptr<Linear> up_, down_;
};

struct TransformerLayerOptions {
  int64_t width = 128;
  int64_t heads = 4;
  int64_t mlp_width = 512;
  double dropout = 0;
  double layer_norm_eps = 1e-12;
  at::ScalarType compute = at::kFloat;
  int64_t condition_width = 0;  ///< 0 = no modulation: a plain pre-norm layer
  ModulationOrder modulation = ModulationOrder::kLinearSilu;
  double gate_offset = 0;  ///< added to both gates; 1 starts them open
  Activation activation = Activation::kGelu;
  bool norm_trained = true;  ///< whether norms have a gain and an offset
};

/// A pre-norm transformer layer, modulated by the condition where it has one:
///   h <- h + gate_1 * Attention(LN(h) * (1 + scale_1) + shift_1)
///   h <- h + gate_2 * Mlp(LN(h) * (1 + scale_2) + shift_2)
/// Dropout falls on the attention probabilities and on both branches.
class TransformerLayer : public ResidualLayer {
 public:
  explicit TransformerLayer(const TransformerLayerOptions& options);

  at::Tensor forward(const at::Tensor& h, const at::Tensor& condition) override;

  /// Queries, output projection and MLP run for the first token alone.
  at::Tensor forward_first_token(const at::Tensor& h,
                                 const at::Tensor& condition) override;

 private:
  /// Shift, scale and gate of attention, then of the MLP; undefined without a
  /// condition.
  std::vector<at::Tensor> modulate(const at::Tensor& condition) const;
  at::Tensor norm(const at::Tensor& x,
                  const NormParameters& parameters,
                  const at::Tensor& shift,
                  const at::Tensor& scale) const;
  /// The layer's second half.
  at::Tensor add_mlp(const at::Tensor& h,
                     const std::vector<at::Tensor>& modulation) const;
  at::Tensor drop(const at::Tensor& branch) const;

  TransformerLayerOptions options_;
  std::shared_ptr<NormParameters> attention_norm_, mlp_norm_;
  std::shared_ptr<SelfAttention> attention_;
  std::shared_ptr<Mlp> mlp_;
  std::shared_ptr<Modulation> modulation_;  // null without a condition
};

}  // namespace dblocks::nn
