// SPDX-License-Identifier: Apache-2.0
// AdamW over a block's flat buffers. One pass reads the gradient once and
// updates weights and both moments; clipping is a factor applied on the way.
// The fast path, the readable twin, every instruction set and every number of
// threads give the same bits.
#pragma once

#include <cstdint>
#include <span>

#include "dblocks/optim/parallel_for.h"

namespace dblocks::optim {

/// The numbers of one update.
struct AdamWStep {
  double learning_rate = 1e-3;
  double weight_decay = 0.01;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double gradient_scale = 1.0;  ///< multiplies the gradient; see clip_scale
  int64_t step = 1;             ///< this update's number; the first is 1
  uint32_t rounding_key = 0;    ///< of weights in bf16; see round_weights
};

/// A block's buffers, all of one length. The first `decayed_count` weights are
/// decayed, the others are not.
struct AdamWBuffers {
  std::span<float> weights;
  std::span<const float> gradient;
  std::span<float> first_moment;
  std::span<float> second_moment;
  int64_t decayed_count = 0;
};

/// One AdamW update in place, with decoupled decay and PyTorch's order of
/// operations:
///
///     g  = gradient_scale * gradient
///     w  = w * (1 - lr * weight_decay)           first decayed_count only
///     m  = m + (1 - beta1) * (g - m)
///     v  = beta2 * v + (1 - beta2) * g * g
///     w  = w - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
///
/// Scalars are worked out in double, elements in float. The gradient is left
/// as it is. An idle block is not updated by a zero gradient but by not calling
/// this at all: a zero gradient would still decay weights and moments.
///
/// *Errors*: InternalError if the buffers differ in length, decayed_count lies
/// outside them or step < 1.
/// *Threads*: the buffers must not be touched by others meanwhile.
/// *Source*: Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2; the
/// arithmetic is that of torch.optim.AdamW.
void adamw_update(const AdamWStep& step,
                  const AdamWBuffers& buffers,
                  const ParallelFor& parallel = {});

/// The readable twin of adamw_update: one plain loop, the same bits.
void adamw_update_reference(const AdamWStep& step, const AdamWBuffers& buffers);

}  // namespace dblocks::optim
