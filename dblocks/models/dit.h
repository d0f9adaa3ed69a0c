// SPDX-License-Identifier: Apache-2.0
// The diffusion transformer of the image generation experiments.
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <memory>

#include "dblocks/models/dit_options.h"
#include "dblocks/nn/layer_stack.h"
#include "dblocks/nn/linear.h"
#include "dblocks/nn/patch_embedding.h"
#include "dblocks/nn/sigma_embedder.h"
#include "dblocks/nn/transformer_layer.h"

namespace dblocks::models {

/// Everything that decides the network's shapes.
struct DitShape {
  DitOptions options;  ///< resolved
  int64_t channels = 1;
  int64_t rows = 28;
  int64_t columns = 28;
  int64_t num_classes = 10;
  at::ScalarType compute = at::kFloat;  ///< type of matrix multiplications

  /// Patches of one image. Errors: ConfigError if the patch does not divide the
  /// image.
  int64_t num_patches() const;
  int64_t mlp_width() const { return 4 * options.width; }
};

/// Layers `first` .. `last` - 1 of a DiT between its outer parts: patch
/// embedding with fixed sine-cosine positions, embeddings of noise and label,
/// final norm, modulation and head. One block, or with all layers the whole
/// network. Predicts as many channels as it is given: no learned variance.
/// *Source*: Peebles and Xie 2023, arXiv 2212.09748, with c_noise =
/// ln(sigma) / 4 in the place of the time step (Karras et al. 2022).
class DitNetwork : public torch::nn::Module {
 public:
  DitNetwork(const DitShape& shape, int64_t first, int64_t last);

  /// *Shapes*: labels: [N] int64, num_classes standing for no label; images:
  /// [N, C, Y, X] float32, scaled by c_in; c_noise: [N] float32; result:
  /// [N, C, Y, X] float32.
  at::Tensor forward(const at::Tensor& labels,
                     const at::Tensor& images,
                     const at::Tensor& c_noise) const;

  const DitShape& shape() const { return shape_; }

 private:
  /// Puts patches together. *Shapes*: patches: [N, T, P * P * C].
  at::Tensor to_images(const at::Tensor& patches) const;

  DitShape shape_;
  std::shared_ptr<nn::PatchEmbedding> patch_embedding_;
  at::Tensor positions_;        // [T, D], a buffer
  at::Tensor label_embedding_;  // [K + 1, D]
  std::shared_ptr<nn::SigmaEmbedder> sigma_embedder_;
  std::shared_ptr<nn::LayerStack> layers_;
  std::shared_ptr<nn::NormParameters> final_norm_;
  std::shared_ptr<nn::Modulation> final_modulation_;
  std::shared_ptr<nn::Linear> head_;
};

/// Fixed sine-cosine positions of a grid of patches: the first half of the
/// features tells the column, the second the row, each as sines and then
/// cosines of frequencies 10000^(-4k/width).
/// *Shapes*: result: [rows * columns, width] float32, rows first. Requires: 4
/// divides width.
at::Tensor sine_cosine_positions(int64_t rows, int64_t columns, int64_t width);

}  // namespace dblocks::models
