// SPDX-License-Identifier: Apache-2.0
#include "dblocks/models/vit.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/ops/dropout.h"
#include "dblocks/ops/residual.h"

namespace dblocks::models {
namespace {

nn::LayerFactory layer_factory(const VitShape& shape, bool modulated) {
  const VitOptions& o = shape.options;
  const nn::TransformerLayerOptions options{
      .width = o.width,
      .heads = o.heads,
      .mlp_width = o.mlp_width,
      .dropout = o.dropout,
      .layer_norm_eps = o.layer_norm_eps,
      .compute = shape.compute,
      .condition_width = modulated ? shape.sigma_embedding_width() : 0,
      .modulation = o.modulation == Modulation::kPublished
                        ? nn::ModulationOrder::kLinearSilu
                        : nn::ModulationOrder::kSiluLinear,
      .gate_offset = o.gate_init};
  return [options](int64_t) {
    return std::make_shared<nn::TransformerLayer>(options);
  };
}

}  // namespace

int64_t VitShape::num_patches() const {
  DBLOCKS_CHECK(rows % options.patch == 0 && columns % options.patch == 0,
                ConfigError,
                "[vit] expected model.patch to divide the image, found patch "
                "{} and images of {} x {} pixels",
                options.patch, rows, columns);
  return (rows / options.patch) * (columns / options.patch);
}

int64_t VitShape::sigma_embedding_width() const {
  return options.sigma_embedding_width > 0 ? options.sigma_embedding_width
                                           : options.width / 6;
}

VitStem::VitStem(const VitShape& shape,
                 bool has_class_token,
                 int64_t num_tokens)
    : dropout_(shape.options.dropout),
      patch_embedding_(std::make_shared<nn::PatchEmbedding>(shape.channels,
                                                            shape.options.patch,
                                                            shape.options.width,
                                                            shape.compute)) {
  const int64_t width = shape.options.width;
  register_module("patch_embedding", patch_embedding_);
  position_embedding_ = register_parameter("position_embedding",
                                           at::zeros({1, num_tokens, width}));
  if (has_class_token) {
    class_token_ = register_parameter("class_token", at::zeros({1, 1, width}));
  }
}

at::Tensor VitStem::forward(const at::Tensor& images,
                            const at::Tensor& label_token) const {
  const at::Tensor patches = patch_embedding_->forward(images);
  std::vector<at::Tensor> tokens;
  if (class_token_.defined()) {
    tokens.push_back(class_token_.expand({patches.size(0), -1, -1}));
    tokens.push_back(patches);
    if (label_token.defined()) {
      tokens.push_back(label_token.unsqueeze(1));
    }
  } else {
    tokens.push_back(label_token.unsqueeze(1));
    tokens.push_back(patches);
  }
  const at::Tensor embedded = at::cat(tokens, 1) + position_embedding_;
  const bool active = is_training() && dropout_ > 0;
  return active ? ops::dropout(embedded, dropout_) : embedded;
}

VitDenoiser::VitDenoiser(const VitShape& shape, int64_t first, int64_t last)
    : shape_(shape),
      appended_(shape.options.label_input == LabelInput::kAppend),
      stem_(std::make_shared<VitStem>(
          shape, appended_, shape.num_patches() + (appended_ ? 2 : 1))),
      sigma_embedder_(
          std::make_shared<nn::SigmaEmbedder>(shape.sigma_embedding_width())),
      layers_(std::make_shared<nn::LayerStack>(
          first, last, layer_factory(shape, true))),
      final_norm_(std::make_shared<nn::NormParameters>(shape.options.width)),
      final_modulation_(std::make_shared<nn::Modulation>(
          shape.sigma_embedding_width(),
          shape.options.width,
          2,
          shape.options.modulation == Modulation::kPublished
              ? nn::ModulationOrder::kLinearSilu
              : nn::ModulationOrder::kSiluLinear)),
      head_(std::make_shared<nn::Linear>(
          shape.options.width, shape.num_classes, at::kFloat)) {
  register_module("stem", stem_);
  target_table_ = register_parameter(
      "target_table", at::zeros({shape.num_classes, shape.options.width}));
  register_module("sigma_embedder", sigma_embedder_);
  register_module("layers", layers_);
  register_module("final_norm", final_norm_);
  register_module("final_modulation", final_modulation_);
  register_module("head", head_);
}

at::Tensor VitDenoiser::forward(const at::Tensor& images,
                                const at::Tensor& z,
                                const nn::NoiseScales& scales) {
  const at::Tensor condition = sigma_embedder_->forward(scales.noise);
  // Token 0 is the class token, or the label token that stands in its place.
  const at::Tensor token = layers_->forward_first_token(
      stem_->forward(images, z * scales.in.unsqueeze(-1)), condition);
  at::Tensor read = ops::norm_modulate(token.squeeze(1), final_norm_->weight,
                                       final_norm_->bias,
                                       shape_.options.layer_norm_eps, {}, {});
  if (!appended_) {
    read = read * scales.out.unsqueeze(-1) + z * scales.skip.unsqueeze(-1);
  }
  const std::vector<at::Tensor> m = final_modulation_->forward(condition);
  return head_->forward(read * (m[1] + 1) + m[0]);
}

VitStage::VitStage(const VitShape& shape,
                   int64_t first,
                   int64_t last,
                   bool has_stem)
    : shape_(shape),
      stem_(has_stem ? std::make_shared<VitStem>(
                           shape, true, shape.num_patches() + 1)
                     : nullptr),
      layers_(std::make_shared<nn::LayerStack>(
          first, last, layer_factory(shape, false))),
      final_norm_(std::make_shared<nn::NormParameters>(shape.options.width)),
      head_(std::make_shared<nn::Linear>(
          shape.options.width, shape.num_classes, at::kFloat)) {
  if (stem_) {
    register_module("stem", stem_);
  }
  register_module("layers", layers_);
  register_module("final_norm", final_norm_);
  register_module("head", head_);
}

at::Tensor VitStage::features(const at::Tensor& input) const {
  return layers_->forward(stem_ ? stem_->forward(input, {}) : input, {});
}

at::Tensor VitStage::representation(const at::Tensor& input) const {
  const at::Tensor token = layers_->forward_first_token(
      stem_ ? stem_->forward(input, {}) : input, {});
  return ops::norm_modulate(token.squeeze(1), final_norm_->weight,
                            final_norm_->bias, shape_.options.layer_norm_eps,
                            {}, {});
}

at::Tensor VitStage::logits(const at::Tensor& input) const {
  return head_->forward(representation(input));
}

}  // namespace dblocks::models
