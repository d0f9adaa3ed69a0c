// SPDX-License-Identifier: Apache-2.0
#include "dblocks/models/dit.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/zeros.h>

#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/ops/residual.h"

namespace dblocks::models {
namespace {

constexpr double kLayerNormEps = 1e-6;
constexpr double kPeriod = 10000;

nn::LayerFactory layer_factory(const DitShape& shape) {
  const nn::TransformerLayerOptions options{
      .width = shape.options.width,
      .heads = shape.options.heads,
      .mlp_width = shape.mlp_width(),
      .layer_norm_eps = kLayerNormEps,
      .compute = shape.compute,
      .condition_width = shape.options.width,
      .modulation = nn::ModulationOrder::kSiluLinear,
      .activation = nn::Activation::kGeluTanh,
      .norm_trained = false};
  return [options](int64_t) {
    return std::make_shared<nn::TransformerLayer>(options);
  };
}

/// Sines, then cosines, of places 0 .. count - 1. *Shapes*: [count, width].
at::Tensor waves(int64_t count, int64_t width) {
  const at::Tensor k = at::arange(width / 2, at::kDouble);
  const at::Tensor frequencies =
      at::pow(kPeriod, k * (-2.0 / static_cast<double>(width)));
  const at::Tensor angles =
      at::arange(count, at::kDouble).unsqueeze(1) * frequencies;
  return at::cat({angles.sin(), angles.cos()}, 1);
}

}  // namespace

int64_t DitShape::num_patches() const {
  DBLOCKS_CHECK(rows % options.patch == 0 && columns % options.patch == 0,
                ConfigError,
                "[dit] expected dit.patch to divide the image, found patch {} "
                "and images of {} x {} pixels",
                options.patch, rows, columns);
  return (rows / options.patch) * (columns / options.patch);
}

at::Tensor sine_cosine_positions(int64_t rows, int64_t columns, int64_t width) {
  const int64_t half = width / 2;
  const at::Tensor by_column =
      waves(columns, half).unsqueeze(0).expand({rows, columns, half});
  const at::Tensor by_row =
      waves(rows, half).unsqueeze(1).expand({rows, columns, half});
  return at::cat({by_column, by_row}, 2).flatten(0, 1).to(at::kFloat);
}

DitNetwork::DitNetwork(const DitShape& shape, int64_t first, int64_t last)
    : shape_(shape),
      patch_embedding_(std::make_shared<nn::PatchEmbedding>(shape.channels,
                                                            shape.options.patch,
                                                            shape.options.width,
                                                            shape.compute)),
      sigma_embedder_(std::make_shared<nn::SigmaEmbedder>(shape.options.width)),
      layers_(
          std::make_shared<nn::LayerStack>(first, last, layer_factory(shape))),
      final_norm_(
          std::make_shared<nn::NormParameters>(shape.options.width, false)),
      final_modulation_(
          std::make_shared<nn::Modulation>(shape.options.width,
                                           shape.options.width,
                                           2,
                                           nn::ModulationOrder::kSiluLinear)),
      head_(std::make_shared<nn::Linear>(
          shape.options.width,
          shape.options.patch * shape.options.patch * shape.channels,
          at::kFloat)) {
  const int64_t width = shape.options.width, patch = shape.options.patch;
  DBLOCKS_ASSERT(shape.num_patches() > 0, "an image without patches");
  register_module("patch_embedding", patch_embedding_);
  positions_ = register_buffer(
      "positions",
      sine_cosine_positions(shape.rows / patch, shape.columns / patch, width));
  label_embedding_ = register_parameter(
      "label_embedding", at::zeros({shape.num_classes + 1, width}));
  register_module("sigma_embedder", sigma_embedder_);
  register_module("layers", layers_);
  register_module("final_norm", final_norm_);
  register_module("final_modulation", final_modulation_);
  register_module("head", head_);
}

at::Tensor DitNetwork::to_images(const at::Tensor& patches) const {
  const int64_t patch = shape_.options.patch;
  const int64_t rows = shape_.rows / patch, columns = shape_.columns / patch;
  return patches.view({-1, rows, columns, patch, patch, shape_.channels})
      .permute({0, 5, 1, 3, 2, 4})  // [N, C, rows, P, columns, P]
      .reshape({-1, shape_.channels, shape_.rows, shape_.columns});
}

at::Tensor DitNetwork::forward(const at::Tensor& labels,
                               const at::Tensor& images,
                               const at::Tensor& c_noise) const {
  const at::Tensor condition =
      at::silu(sigma_embedder_->embed(c_noise) +
               at::embedding(label_embedding_, labels));
  const at::Tensor tokens = layers_->forward(
      patch_embedding_->forward(images) + positions_, condition);
  const std::vector<at::Tensor> m = final_modulation_->forward(condition);
  return to_images(head_->forward(
      ops::norm_modulate(tokens, final_norm_->weight, final_norm_->bias,
                         kLayerNormEps, m[0], m[1])));
}

}  // namespace dblocks::models
