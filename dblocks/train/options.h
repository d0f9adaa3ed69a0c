// SPDX-License-Identifier: Apache-2.0
// How long and in which order blocks train, and what is saved. Plain data: no
// LibTorch here.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dblocks/core/fields.h"

namespace dblocks::train {

/// In which order blocks take their steps. With per-block and frozen outer
/// parts all of them, and separate processes, give the same bits.
enum class TrainingSchedule {
  kSequential,   ///< block 0 to its end, then block 1, ...
  kAlternating,  ///< `steps_per_visit` steps of each block in turn
  kRandom,       ///< one block drawn per step, as the published code does
};

/// What the network computes in. Weights, moments, norms, softmax and losses
/// stay in fp32.
enum class Precision {
  kFp32,
  kBf16,
  kAuto,  ///< bf16 where the device multiplies it faster, else fp32
};

/// Whether layers keep what their derivatives need or are run again in the
/// backward pass; the result is the same.
enum class Recompute {
  kNone,
  kLayer,  ///< each layer but a block's last keeps its input alone
  kAuto,   ///< kLayer where a step would not fit into memory without
};

/// What becomes of a step whose loss or gradient is not finite.
enum class BadStepPolicy {
  kFail,      ///< the run ends
  kSkip,      ///< nothing is learned from the batch
  kRollBack,  ///< the block goes back to its checkpoint; a step that is bad
              ///< again is skipped
};

inline constexpr auto kBadStepPolicyNames =
    std::to_array<EnumName<BadStepPolicy>>(
        {{BadStepPolicy::kFail, "fail"},
         {BadStepPolicy::kSkip, "skip"},
         {BadStepPolicy::kRollBack, "roll_back"}});
inline auto enum_names(BadStepPolicy) {
  return std::span(kBadStepPolicyNames);
}

inline constexpr auto kTrainingScheduleNames =
    std::to_array<EnumName<TrainingSchedule>>(
        {{TrainingSchedule::kSequential, "sequential"},
         {TrainingSchedule::kAlternating, "alternating"},
         {TrainingSchedule::kRandom, "random"}});
inline auto enum_names(TrainingSchedule) {
  return std::span(kTrainingScheduleNames);
}

inline constexpr auto kPrecisionNames =
    std::to_array<EnumName<Precision>>({{Precision::kFp32, "fp32"},
                                        {Precision::kBf16, "bf16"},
                                        {Precision::kAuto, "auto"}});
inline auto enum_names(Precision) {
  return std::span(kPrecisionNames);
}

inline constexpr auto kRecomputeNames =
    std::to_array<EnumName<Recompute>>({{Recompute::kNone, "none"},
                                        {Recompute::kLayer, "layer"},
                                        {Recompute::kAuto, "auto"}});
inline auto enum_names(Recompute) {
  return std::span(kRecomputeNames);
}

/// Exactly one of `steps` and `epochs` is given; resolving a recipe works the
/// other out of the data's size, so that only `steps` counts afterwards.
struct TrainOptions {
  /// Optimiser steps of one block. A run takes num_blocks times as many.
  int64_t steps = 0;
  /// Passes of one block over the training set; 0 = `steps` is given.
  int64_t epochs = 0;
  TrainingSchedule schedule = TrainingSchedule::kSequential;
  /// Steps of one block before the next is loaded; `alternating` only. 0 = long
  /// enough to hide the moving of blocks, as measured while training.
  int64_t steps_per_visit = 100;
  Precision precision = Precision::kFp32;
  Recompute recompute = Recompute::kNone;
  /// Samples that are run through the network at once; their gradients are
  /// summed to that of the whole batch. 0 = all.
  int64_t micro_batch = 0;
  /// Steps of one block between two lines of log.jsonl.
  int64_t log_every_steps = 50;
  /// Whether a CUDA device runs a step as one recorded graph.
  bool cuda_graphs = true;
  BadStepPolicy on_bad_step = BadStepPolicy::kFail;
};

/// When a block is saved. Its last step is always saved.
struct CheckpointOptions {
  /// Steps of one block between two checkpoints.
  int64_t every_steps = 500;
  /// Complete checkpoints kept per block, at least two.
  int64_t keep = 2;
};

inline void visit_fields(FieldVisitor& visitor, TrainOptions& options) {
  visitor.field({"steps", "steps of one block",
                 "Optimiser steps of each block; give this or epochs."},
                options.steps);
  visitor.field({"epochs", "epochs of one block",
                 "Passes of each block over the training set; 0 = steps is "
                 "given."},
                options.epochs);
  visitor.field({"schedule", "",
                 "Order of the blocks' steps; without shared parts it does "
                 "not change the result."},
                options.schedule);
  visitor.field({"steps_per_visit", "steps of one block",
                 "Steps before the next block is loaded; alternating only. "
                 "auto = long enough to hide the moving of blocks between "
                 "memory and disk, as measured; not with shared parts.",
                 "auto"},
                options.steps_per_visit);
  visitor.field({"precision", "",
                 "What the network computes in; auto = bf16 where the device "
                 "multiplies it faster."},
                options.precision);
  visitor.field({"recompute", "",
                 "Whether layers are run again in the backward pass instead "
                 "of keeping activations; auto = where memory is short."},
                options.recompute);
  visitor.field({"micro_batch", "samples",
                 "Run through the network at once; gradients add up to the "
                 "batch's. 0 = the whole batch."},
                options.micro_batch);
  visitor.field({"log_every_steps", "steps of one block",
                 "Distance of two lines of log.jsonl."},
                options.log_every_steps);
  visitor.field({"cuda_graphs", "",
                 "Whether a CUDA device runs a step as one recorded graph; the "
                 "result is the same."},
                options.cuda_graphs);
  visitor.field({"on_bad_step", "",
                 "What becomes of a step whose loss or gradient is not finite: "
                 "fail (the run ends), skip (its batch is not learned from), "
                 "roll_back (the block goes back to its checkpoint; what is "
                 "bad again is skipped)."},
                options.on_bad_step);
}

inline void visit_fields(FieldVisitor& visitor, CheckpointOptions& options) {
  visitor.field({"every_steps", "steps of one block",
                 "Distance of two checkpoints; the last step is always "
                 "saved."},
                options.every_steps);
  visitor.field({"keep", "checkpoints",
                 "Complete checkpoints kept per block, at least 2."},
                options.keep);
}

}  // namespace dblocks::train
