// SPDX-License-Identifier: Apache-2.0
// The vision transformer of the image classification experiments: the network
// of one denoising block, and a plain stage for the baselines.
//
// Both are built for a range of layers of the whole stack, and name their
// parameters by what they are (patch_embedding, layers.<index in the stack>,
// head), not by where the cut lies.
#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>

#include "dblocks/models/vit_options.h"
#include "dblocks/nn/block_network.h"
#include "dblocks/nn/layer_stack.h"
#include "dblocks/nn/linear.h"
#include "dblocks/nn/patch_embedding.h"
#include "dblocks/nn/sigma_embedder.h"
#include "dblocks/nn/transformer_layer.h"

namespace dblocks::models {

/// Everything that decides the network's shapes.
struct VitShape {
  VitOptions options;
  int64_t channels = 1;
  int64_t rows = 28;
  int64_t columns = 28;
  int64_t num_classes = 10;
  at::ScalarType compute = at::kFloat;  ///< type of matrix multiplications

  /// Patches of one image. Errors: ConfigError if the patch does not divide the
  /// image.
  int64_t num_patches() const;
  /// sigma_embedding_width with 0 worked out: width / 6.
  int64_t sigma_embedding_width() const;
};

/// Image to tokens: [extra tokens before, patches, extra tokens after] plus
/// learned positions and dropout.
class VitStem : public torch::nn::Module {
 public:
  VitStem(const VitShape& shape, bool has_class_token, int64_t num_tokens);

  /// *Shapes*: images: [N, C, Y, X]; label_token: [N, D], or undefined; result:
  /// [N, T, D]. The label token comes last where there is a class token, and in
  /// its place otherwise.
  at::Tensor forward(const at::Tensor& images,
                     const at::Tensor& label_token) const;

 private:
  double dropout_;
  std::shared_ptr<nn::PatchEmbedding> patch_embedding_;
  at::Tensor position_embedding_;  // [1, T, D]
  at::Tensor class_token_;         // [1, 1, D], or undefined
};

/// One block of the denoising ViT (layers `first` .. `last` - 1) with its outer
/// parts: reads an image and a noisy label embedding, predicts the class.
///
/// label_input kReplaceClassToken is the published code: the scaled noisy label
/// takes the class token's place, and what the head reads is
/// c_out * hidden + c_skip * z. kAppend is the paper's text: the class token is
/// kept and read by the head as it is; the noisy label follows the patches.
/// *Source*: Shing et al. 2026, arXiv 2506.14202, appendix B and published
/// code.
class VitDenoiser : public nn::BlockNetwork {
 public:
  VitDenoiser(const VitShape& shape, int64_t first, int64_t last);

  at::Tensor forward(const at::Tensor& images,
                     const at::Tensor& z,
                     const nn::NoiseScales& scales) override;

  const at::Tensor& target_table() const override { return target_table_; }

 private:
  VitShape shape_;
  bool appended_;
  std::shared_ptr<VitStem> stem_;
  at::Tensor target_table_;  // [K, D]
  std::shared_ptr<nn::SigmaEmbedder> sigma_embedder_;
  std::shared_ptr<nn::LayerStack> layers_;
  std::shared_ptr<nn::NormParameters> final_norm_;
  std::shared_ptr<nn::Modulation> final_modulation_;
  std::shared_ptr<nn::Linear> head_;
};

/// A plain ViT, or a stage of one: layers `first` .. `last` - 1, with a stem if
/// it starts from images, and always with a final norm and head of its own.
class VitStage : public torch::nn::Module {
 public:
  VitStage(const VitShape& shape, int64_t first, int64_t last, bool has_stem);

  /// Hidden state after the stage's layers. *Shapes*: input: images
  /// [N, C, Y, X] with a stem, else [N, T, D]; result: [N, T, D].
  at::Tensor features(const at::Tensor& input) const;

  /// The class token after the stage's layers and the final norm: what the head
  /// reads. *Shapes*: input: as above; result: [N, D] float32.
  at::Tensor representation(const at::Tensor& input) const;

  /// Class logits, read from the class token after the stage's layers.
  /// *Shapes*: input: as above; result: [N, K] float32.
  at::Tensor logits(const at::Tensor& input) const;

 private:
  VitShape shape_;
  std::shared_ptr<VitStem> stem_;  // null without
  std::shared_ptr<nn::LayerStack> layers_;
  std::shared_ptr<nn::NormParameters> final_norm_;
  std::shared_ptr<nn::Linear> head_;
};

}  // namespace dblocks::models
