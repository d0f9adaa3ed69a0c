// SPDX-License-Identifier: Apache-2.0
// Options of the vision transformer. Plain data: no LibTorch here.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dblocks/core/fields.h"

namespace dblocks::models {

/// Where the noisy label token enters the sequence. Paper and published code
/// disagree (arXiv 2506.14202, App. B).
enum class LabelInput {
  kReplaceClassToken,  ///< published code: it takes the class token's place
  kAppend,             ///< paper: class token kept and read, label appended
};

/// Order of SiLU and linear layer in the adaptive layer norm.
enum class Modulation {
  kPublished,  ///< SiLU(Linear(c)): shift, scale and gate stay above -0.279
  kDit,        ///< Linear(SiLU(c)), Peebles & Xie 2023, arXiv 2212.09748
};

inline constexpr auto kLabelInputNames = std::to_array<EnumName<LabelInput>>(
    {{LabelInput::kReplaceClassToken, "replace_class_token"},
     {LabelInput::kAppend, "append"}});
inline auto enum_names(LabelInput) {
  return std::span(kLabelInputNames);
}

inline constexpr auto kModulationNames = std::to_array<EnumName<Modulation>>(
    {{Modulation::kPublished, "published"}, {Modulation::kDit, "dit"}});
inline auto enum_names(Modulation) {
  return std::span(kModulationNames);
}

/// Shape of a vision transformer, with or without the parts that make it a
/// denoiser. Image size, channels and classes come from the data.
struct VitOptions {
  /// Layers of the whole stack, over all blocks.
  int64_t num_layers = 6;
  /// Features per token, D. `heads` divides it.
  int64_t width = 128;
  /// Attention heads, H.
  int64_t heads = 4;
  /// Hidden features of the MLP. The published network has 3072 whatever its
  /// width; 4 * width is the usual choice.
  int64_t mlp_width = 512;
  /// Side of a square patch in pixels; divides the image's sides.
  int64_t patch = 7;
  /// Share of activations dropped, in [0, 1): embeddings, attention
  /// probabilities, attention output, MLP output. The published value is 0.1.
  double dropout = 0;
  /// Added to the variance in every layer norm.
  double layer_norm_eps = 1e-12;
  /// Without effect on the baselines, which have no label token.
  LabelInput label_input = LabelInput::kAppend;
  /// Without effect on the baselines, which are not modulated.
  Modulation modulation = Modulation::kDit;
  /// Value of the residual gates before training. 0 makes every layer the
  /// identity at first (published); 1 starts as an ordinary transformer.
  double gate_init = 0;
  /// Width of the sigma embedding; 0 = width / 6, as published.
  int64_t sigma_embedding_width = 0;
};

inline void visit_fields(FieldVisitor& visitor, VitOptions& options) {
  visitor.field(
      {"num_layers", "layers", "Layers of the whole stack, over all blocks."},
      options.num_layers);
  visitor.field({"width", "", "Features per token; `heads` divides it."},
                options.width);
  visitor.field({"heads", "", "Attention heads of each layer."}, options.heads);
  visitor.field({"mlp_width", "",
                 "Hidden features of the MLP; the published network has 3072 "
                 "whatever its width."},
                options.mlp_width);
  visitor.field(
      {"patch", "pixels", "Side of a patch; divides the image's sides."},
      options.patch);
  visitor.field({"dropout", "",
                 "Share of activations dropped while training; the published "
                 "value is 0.1."},
                options.dropout);
  visitor.field(
      {"layer_norm_eps", "", "Added to the variance in every layer norm."},
      options.layer_norm_eps);
  visitor.field({"label_input", "",
                 "Where the noisy label enters: in place of the class token "
                 "(published code), or appended with the class token kept and "
                 "read (paper)."},
                options.label_input);
  visitor.field({"modulation", "",
                 "SiLU after the modulation's linear layer (published) or "
                 "before it (dit)."},
                options.modulation);
  visitor.field({"gate_init", "",
                 "Residual gates before training: 0 makes every layer the "
                 "identity, 1 an ordinary transformer layer."},
                options.gate_init);
  visitor.field({"sigma_embedding_width", "",
                 "Width of the sigma embedding; 0 = width / 6."},
                options.sigma_embedding_width);
}

}  // namespace dblocks::models
