// SPDX-License-Identifier: Apache-2.0
// Optimiser of one unit. Plain data: no LibTorch here.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dblocks/core/fields.h"
#include "dblocks/core/state_format.h"
#include "dblocks/optim/ema.h"

namespace dblocks::optim {

/// The learning rate as a function of a block's own step, after warm-up.
enum class LearningRateSchedule { kConstant, kCosine };

/// Which parameters weight decay applies to.
enum class WeightDecayOn {
  kMatrices,  ///< parameters of two or more dimensions inside linear layers
  kAll,       ///< everything trained, biases and norms too, as published
};

inline constexpr auto kLearningRateScheduleNames =
    std::to_array<EnumName<LearningRateSchedule>>(
        {{LearningRateSchedule::kConstant, "constant"},
         {LearningRateSchedule::kCosine, "cosine"}});
inline auto enum_names(LearningRateSchedule) {
  return std::span(kLearningRateScheduleNames);
}

inline constexpr auto kWeightDecayOnNames =
    std::to_array<EnumName<WeightDecayOn>>(
        {{WeightDecayOn::kMatrices, "matrices"}, {WeightDecayOn::kAll, "all"}});
inline auto enum_names(WeightDecayOn) {
  return std::span(kWeightDecayOnNames);
}

/// Which weights evaluation, sampling and export read.
enum class EmaEvaluate {
  kNone,    ///< the last step's
  kFirst,   ///< the average by ema_decay
  kSecond,  ///< the average by ema_second_decay
};

inline constexpr auto kEmaEvaluateNames =
    std::to_array<EnumName<EmaEvaluate>>({{EmaEvaluate::kNone, "none"},
                                          {EmaEvaluate::kFirst, "first"},
                                          {EmaEvaluate::kSecond, "second"}});
inline auto enum_names(EmaEvaluate) {
  return std::span(kEmaEvaluateNames);
}

/// AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) and what surrounds it.
/// *Units*: every count is in steps of one block.
struct OptimOptions {
  /// Peak learning rate, reached at the end of the warm-up.
  double learning_rate = 1e-3;
  /// Where the cosine ends; at most learning_rate.
  double min_learning_rate = 0;
  /// Decoupled: each step multiplies weights by 1 - rate * weight_decay.
  double weight_decay = 0.05;
  /// Decay of the first moment, in [0, 1).
  double beta1 = 0.9;
  /// Decay of the second moment, in [0, 1).
  double beta2 = 0.999;
  /// Added to the root of the second moment.
  double eps = 1e-8;
  /// Largest norm of a unit's whole gradient; 0 = no limit.
  double clip_norm = 1;
  LearningRateSchedule schedule = LearningRateSchedule::kCosine;
  /// Steps of linear warm-up; fewer than the steps of a block.
  int64_t warmup_steps = 100;
  WeightDecayOn weight_decay_on = WeightDecayOn::kMatrices;
  /// How both moments are stored; int8 takes a quarter of the memory.
  MomentFormat moments = MomentFormat::kFp32;
  /// How the weights are stored; bf16 takes half the memory.
  WeightFormat weights = WeightFormat::kFp32;
  /// Decay of the running average of the weights, in [0, 1); 0 = none kept.
  double ema_decay = 0;
  /// Decay of a second one beside it, in [0, 1); 0 = none kept.
  double ema_second_decay = 0;
  /// Which average evaluation, sampling and export read.
  EmaEvaluate ema_evaluate = EmaEvaluate::kNone;

  StateFormat state_format() const {
    return {.moments = moments,
            .weights = weights,
            .averages = int64_t{ema_decay > 0} + int64_t{ema_second_decay > 0}};
  }
  EmaDecays ema_decays() const { return {ema_decay, ema_second_decay}; }
};

inline void visit_fields(FieldVisitor& visitor, OptimOptions& options) {
  visitor.field({"learning_rate", "",
                 "Peak learning rate, reached at the end of the warm-up."},
                options.learning_rate);
  visitor.field({"min_learning_rate", "",
                 "Where the cosine ends; at most learning_rate."},
                options.min_learning_rate);
  visitor.field({"weight_decay", "",
                 "Decoupled: each step multiplies weights by 1 - rate * "
                 "weight_decay."},
                options.weight_decay);
  visitor.field({"beta1", "", "Decay of AdamW's first moment."}, options.beta1);
  visitor.field({"beta2", "", "Decay of AdamW's second moment."},
                options.beta2);
  visitor.field({"eps", "", "Added to the root of AdamW's second moment."},
                options.eps);
  visitor.field({"clip_norm", "",
                 "Largest norm of a block's whole gradient; 0 = no limit."},
                options.clip_norm);
  visitor.field({"schedule", "", "Learning rate after the warm-up."},
                options.schedule);
  visitor.field({"warmup_steps", "steps of one block",
                 "Linear warm-up from zero; fewer than train.steps."},
                options.warmup_steps);
  visitor.field({"weight_decay_on", "",
                 "Decay matrices only, or everything trained as the "
                 "published code does."},
                options.weight_decay_on);
  visitor.field({"moments", "",
                 "How AdamW's moments are stored: int8 takes 2 bytes a weight "
                 "for both instead of 8, rounded."},
                options.moments);
  visitor.field({"weights", "",
                 "How weights are stored: bf16 takes 2 bytes instead of 4, "
                 "rounded stochastically after every update; the block that "
                 "trains has them in fp32 too."},
                options.weights);
  visitor.field({"ema_decay", "",
                 "Decay per step of the running average of the weights; 0 = "
                 "none kept. A half-life of n steps is 0.5^(1/n)."},
                options.ema_decay);
  visitor.field({"ema_second_decay", "",
                 "Decay of a second average beside it; 0 = none kept."},
                options.ema_second_decay);
  visitor.field({"ema_evaluate", "",
                 "Weights that eval, sample, predict and export read: the last "
                 "step's, or one of the averages."},
                options.ema_evaluate);
}

}  // namespace dblocks::optim
