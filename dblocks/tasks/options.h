// SPDX-License-Identifier: Apache-2.0
// What is trained and how its predictions are read. Plain data: no LibTorch
// here. Options of image generation: generation_options.h.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dblocks/core/fields.h"

namespace dblocks::tasks {

/// What a run learns.
enum class TaskKind {
  kClassification,   ///< the class of an image, with a ViT
  kImageGeneration,  ///< images of a class, with a DiT
};

inline constexpr auto kTaskKindNames = std::to_array<EnumName<TaskKind>>(
    {{TaskKind::kClassification, "classification"},
     {TaskKind::kImageGeneration, "image_generation"}});
inline auto enum_names(TaskKind) {
  return std::span(kTaskKindNames);
}

/// What a run trains. All go through the same trainer, data and report.
enum class Method {
  kDiffusionBlocks,  ///< blocks that denoise the label's embedding or the image
  kEndToEnd,         ///< the whole network by backpropagation
  kEndToEndShallow,  ///< end to end, with the layers of one block only
  kEnsemble,         ///< B independent networks of L/B layers, pooled
  kGreedy,           ///< local cross-entropy on the detached features before
};

/// What multiplies the cross-entropy of a sample.
/// *Source*: w(sigma), Karras et al. 2022, arXiv 2206.00364, Table 1.
enum class LossWeight {
  kPublished,   ///< mean of w over the batch, as the published code does
  kLiteral,     ///< w(sigma) of each sample, as the paper writes
  kNormalised,  ///< w(sigma) over its mean in the batch
  kNone,        ///< 1
};

/// How a prediction over classes becomes the target passed to the next block.
enum class Bridge {
  kSoft,          ///< probabilities times the table
  kHard,          ///< the row of the likeliest class
  kRenormalised,  ///< the soft bridge, scaled back to length one
};

/// The target table before training.
enum class TargetTable {
  kGaussian,     ///< N(0, 0.02^2), as published
  kUnit,         ///< random rows of length one
  kOrthonormal,  ///< rows of length one at right angles, up to `width` classes
};

inline constexpr auto kMethodNames = std::to_array<EnumName<Method>>(
    {{Method::kDiffusionBlocks, "diffusion_blocks"},
     {Method::kEndToEnd, "end_to_end"},
     {Method::kEndToEndShallow, "end_to_end_shallow"},
     {Method::kEnsemble, "ensemble"},
     {Method::kGreedy, "greedy"}});
inline auto enum_names(Method) {
  return std::span(kMethodNames);
}

inline constexpr auto kLossWeightNames = std::to_array<EnumName<LossWeight>>(
    {{LossWeight::kPublished, "published"},
     {LossWeight::kLiteral, "literal"},
     {LossWeight::kNormalised, "normalised"},
     {LossWeight::kNone, "none"}});
inline auto enum_names(LossWeight) {
  return std::span(kLossWeightNames);
}

inline constexpr auto kBridgeNames =
    std::to_array<EnumName<Bridge>>({{Bridge::kSoft, "soft"},
                                     {Bridge::kHard, "hard"},
                                     {Bridge::kRenormalised, "renormalised"}});
inline auto enum_names(Bridge) {
  return std::span(kBridgeNames);
}

inline constexpr auto kTargetTableNames = std::to_array<EnumName<TargetTable>>(
    {{TargetTable::kGaussian, "gaussian"},
     {TargetTable::kUnit, "random_unit"},
     {TargetTable::kOrthonormal, "orthonormal"}});
inline auto enum_names(TargetTable) {
  return std::span(kTargetTableNames);
}

/// Classification by denoising the label's embedding. Only label_smoothing has
/// an effect on the baselines.
struct ClassificationOptions {
  LossWeight loss_weight = LossWeight::kNone;
  Bridge bridge = Bridge::kSoft;
  /// Whether the bridge uses rows of length one, as training does. false: the
  /// raw table, as published.
  bool normalised_bridge_table = true;
  TargetTable target_table = TargetTable::kOrthonormal;
  /// Share of block 0's samples drawn at sigma_max, where inference calls it,
  /// in [0, 1]. 0 = none, as published.
  double anchor = 0.5;
  /// Probability mass spread evenly over all classes, in [0, 1).
  double label_smoothing = 0;
};

/// How a trained chain is read at evaluation; training does not use it.
struct ReadoutOptions {
  /// Network calls of the stochastic chain; 0 = blocks.num_blocks.
  int64_t chain_steps = 0;
  /// Noise draws averaged by the readouts that average, M.
  int64_t draws = 4;
  /// Images evaluated at once; does not change the result.
  int64_t batch_size = 500;
};

inline void visit_fields(FieldVisitor& visitor,
                         ClassificationOptions& options) {
  visitor.field({"loss_weight", "",
                 "Multiplies the cross-entropy: batch mean of w(sigma) "
                 "(published), w of each sample (literal), w over its batch "
                 "mean (normalised), or 1 (none)."},
                options.loss_weight);
  visitor.field({"bridge", "",
                 "Target passed to the next block: probabilities times the "
                 "table (soft), the likeliest row (hard), or the soft one at "
                 "length one (renormalised)."},
                options.bridge);
  visitor.field({"normalised_bridge_table", "",
                 "Whether the bridge uses rows of length one, as training "
                 "does; false = the raw table, as published."},
                options.normalised_bridge_table);
  visitor.field({"target_table", "",
                 "Label embeddings before training; gaussian is the published "
                 "one, orthonormal needs model.width >= classes."},
                options.target_table);
  visitor.field({"anchor", "",
                 "Share of block 0's samples drawn at sigma_max, where "
                 "inference calls it; 0 = none, as published."},
                options.anchor);
  visitor.field({"label_smoothing", "",
                 "Probability mass spread evenly over all classes."},
                options.label_smoothing);
}

inline void visit_fields(FieldVisitor& visitor, ReadoutOptions& options) {
  visitor.field({"chain_steps", "calls",
                 "Network calls of the stochastic chain; 0 = "
                 "blocks.num_blocks."},
                options.chain_steps);
  visitor.field(
      {"draws", "draws", "Noise draws averaged by the readouts that average."},
      options.draws);
  visitor.field({"batch_size", "images",
                 "Images evaluated at once; changes memory and speed only."},
                options.batch_size);
}

}  // namespace dblocks::tasks
