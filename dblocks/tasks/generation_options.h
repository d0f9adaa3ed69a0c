// SPDX-License-Identifier: Apache-2.0
// Image generation: what training adds to denoising, and how images are drawn
// from trained blocks. Plain data: no LibTorch here.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dblocks/core/fields.h"

namespace dblocks::tasks {

/// What training adds to denoising an image.
struct GenerationOptions {
  /// Share of samples whose label is replaced by "no label", in [0, 1);
  /// guidance needs a network that knows both. Published: 0.1.
  double label_dropout = 0.1;
};

/// How the probability flow is followed from noise to an image.
enum class Solver {
  kEuler,  ///< one call a step: the paper's choice
  kHeun,   ///< two calls a step, of second order
};

/// At which sigmas the network is called.
enum class SamplingSchedule {
  kAuto,      ///< quantile for blocks, karras for one network
  kQuantile,  ///< equally spaced in probability: every block equally often
  kKarras,    ///< equally spaced in sigma^(1/rho)
};

inline constexpr auto kSolverNames = std::to_array<EnumName<Solver>>(
    {{Solver::kEuler, "euler"}, {Solver::kHeun, "heun"}});
inline auto enum_names(Solver) {
  return std::span(kSolverNames);
}

inline constexpr auto kSamplingScheduleNames =
    std::to_array<EnumName<SamplingSchedule>>(
        {{SamplingSchedule::kAuto, "auto"},
         {SamplingSchedule::kQuantile, "quantile"},
         {SamplingSchedule::kKarras, "karras"}});
inline auto enum_names(SamplingSchedule) {
  return std::span(kSamplingScheduleNames);
}

/// How images are drawn; training does not use it.
/// *Source*: Karras et al. 2022, arXiv 2206.00364, algorithms 1 and 2;
/// guidance: Ho and Salimans 2022, arXiv 2207.12598; its interval: Kynkaanniemi
/// et al. 2024, arXiv 2404.07724.
struct SamplingOptions {
  /// Steps from sigma_max to zero.
  int64_t steps = 50;
  /// Steps of each block, first block first, equally spaced in probability
  /// within the block's interval; replaces steps and schedule. Empty = not so.
  std::vector<int64_t> steps_per_block;
  Solver solver = Solver::kEuler;
  SamplingSchedule schedule = SamplingSchedule::kAuto;
  /// Curvature of the karras schedule.
  double rho = 7;
  /// Guidance scale s: D = D_none + s (D_label - D_none). 1 = the labelled
  /// prediction alone, at half the work.
  double guidance = 2;
  /// Channels that are guided, the first so many; 0 = all, 3 as DiT does.
  int64_t guidance_channels = 0;
  /// Lowest and highest sigma that guidance applies at; empty = everywhere.
  std::vector<double> guidance_interval;
  /// S_churn: noise put back over all steps; 0 = a deterministic flow.
  double churn = 0;
  /// Lowest and highest sigma at which it is; empty = everywhere.
  std::vector<double> churn_interval;
  /// S_noise: standard deviation of that noise.
  double churn_noise = 1;
};

/// The real images that drawn ones are compared with.
enum class ReferenceSet { kTest, kTrain };

inline constexpr auto kReferenceSetNames =
    std::to_array<EnumName<ReferenceSet>>(
        {{ReferenceSet::kTest, "test"}, {ReferenceSet::kTrain, "train"}});
inline auto enum_names(ReferenceSet) {
  return std::span(kReferenceSetNames);
}

/// How images are scaled to the 299 x 299 pixels that Inception-v3 takes, each
/// with the scale of values that goes with it.
enum class InceptionResize {
  kTensorFlow,  ///< bilinear from the upper left corner: the first FID, ADM's
                ///< evaluation, torch-fidelity
  kPyTorch,     ///< bilinear between the centres of pixels: pytorch-fid
  kClean,       ///< bicubic, antialiased: clean-fid
};

inline constexpr auto kInceptionResizeNames =
    std::to_array<EnumName<InceptionResize>>(
        {{InceptionResize::kTensorFlow, "tensorflow"},
         {InceptionResize::kPyTorch, "pytorch"},
         {InceptionResize::kClean, "clean"}});
inline auto enum_names(InceptionResize) {
  return std::span(kInceptionResizeNames);
}

/// How drawn images are measured.
struct EvaluationOptions {
  /// Images drawn, the classes in turn.
  int64_t samples = 1000;
  /// Key of their noise.
  int64_t seed = 0;
  ReferenceSet reference = ReferenceSet::kTest;
  /// File with images, or statistics of Inception's features, to compare with
  /// instead. "" = none.
  std::string reference_file;
  /// Folder of a run that classifies such images, trained end to end: images
  /// are compared by what its head reads. "" = by their pixels.
  std::string classifier;
  /// File with the weights of Inception-v3, whose features images are compared
  /// by first of all. "" = none.
  std::string inception;
  InceptionResize inception_resize = InceptionResize::kTensorFlow;
  /// Folder that keeps features of real images; "" = they are computed anew.
  std::string feature_cache;
  /// Neighbours that precision and recall go by, k.
  int64_t neighbours = 3;
  /// Levels of noise at which the loss is measured; 0 = none.
  int64_t noise_levels = 24;
};

inline void visit_fields(FieldVisitor& visitor, EvaluationOptions& options) {
  visitor.field({"samples", "images", "Images drawn, the classes in turn."},
                options.samples);
  visitor.field({"seed", "", "Key of their noise."}, options.seed);
  visitor.field({"reference", "",
                 "Real images that they are compared with: the test or the "
                 "train set."},
                options.reference);
  visitor.field({"reference_file", "",
                 "File with real images (npz or safetensors), or published "
                 "statistics of Inception's features (npz), that they are "
                 "compared with instead; empty = none."},
                options.reference_file);
  visitor.field({"classifier", "",
                 "Folder of an end-to-end classifier whose features images are "
                 "compared by; empty = pixels."},
                options.classifier);
  visitor.field({"inception", "",
                 "File with the weights of Inception-v3 as "
                 "tools/convert_inception.py writes it, whose features images "
                 "are compared by; empty = not by them."},
                options.inception);
  visitor.field({"inception_resize", "",
                 "How images get Inception's 299 x 299 pixels: tensorflow "
                 "(bilinear, as the first FID), pytorch (bilinear between "
                 "centres), clean (bicubic, antialiased)."},
                options.inception_resize);
  visitor.field({"feature_cache", "",
                 "Folder that keeps the features of real images for the next "
                 "evaluation; empty = none."},
                options.feature_cache);
  visitor.field({"neighbours", "", "Neighbours of precision and recall."},
                options.neighbours);
  visitor.field({"noise_levels", "",
                 "Levels of noise at which the loss is measured, evenly spaced "
                 "in ln sigma; 0 = none."},
                options.noise_levels);
}

inline void visit_fields(FieldVisitor& visitor, GenerationOptions& options) {
  visitor.field({"label_dropout", "",
                 "Share of samples trained without their label, which guidance "
                 "needs; published: 0.1."},
                options.label_dropout);
}

inline void visit_fields(FieldVisitor& visitor, SamplingOptions& options) {
  visitor.field({"steps", "steps", "Steps from sigma_max to zero."},
                options.steps);
  visitor.field({"steps_per_block", "steps",
                 "Steps of each block, first block first, equally spaced in "
                 "probability within its interval; replaces steps and "
                 "schedule."},
                options.steps_per_block);
  visitor.field({"solver", "",
                 "euler (one call a step, the paper's) or heun (two, of second "
                 "order)."},
                options.solver);
  visitor.field({"schedule", "",
                 "quantile (every block equally often), karras, or auto: "
                 "quantile for blocks, karras for one network."},
                options.schedule);
  visitor.field({"rho", "", "Curvature of the karras schedule."}, options.rho);
  visitor.field({"guidance", "",
                 "Classifier-free guidance scale; 1 = none, at half the work."},
                options.guidance);
  visitor.field({"guidance_channels", "channels",
                 "Channels that are guided, the first so many; 0 = all."},
                options.guidance_channels);
  visitor.field({"guidance_interval", "sigma",
                 "Lowest and highest sigma that is guided; empty = all."},
                options.guidance_interval);
  visitor.field({"churn", "",
                 "Noise put back over all steps (S_churn); 0 = a deterministic "
                 "flow."},
                options.churn);
  visitor.field({"churn_interval", "sigma",
                 "Lowest and highest sigma where it is; empty = all."},
                options.churn_interval);
  visitor.field({"churn_noise", "",
                 "Standard deviation of the noise put back (S_noise)."},
                options.churn_noise);
}

}  // namespace dblocks::tasks
