// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/block_step.h"

#include <ATen/Context.h>

#include <cmath>

#include "dblocks/core/error.h"
#include "dblocks/core/random.h"
#include "dblocks/optim/gradient_norm.h"
#include "dblocks/optim/learning_rate.h"
#include "dblocks/train/update.h"

namespace dblocks::train {
namespace {

void update(FlatState& state, optim::AdamWStep step, double ema_decay) {
  step.step = ++state.step;
  adamw_update(state, step);
  if (ema_decay > 0) {
    ema_update(state, ema_decay);
  }
}

}  // namespace

StepResult block_step(UnitState& state,
                      const tasks::LabelledBatch& batch,
                      const tasks::StepKey& key,
                      const optim::OptimOptions& options,
                      int64_t total_steps) {
  // LibTorch's own generator serves dropout; it too starts from the step's key.
  at::manual_seed(
      mix_seed(key.seed, RandomPurpose::kDropout, key.unit, key.step));

  state.owned().zero_gradient();
  if (state.shared() != nullptr) {
    state.shared()->zero_gradient();
  }
  return descend(state, state.unit().loss(batch, key), key, options,
                 total_steps);
}

StepResult descend(UnitState& state,
                   const tasks::LossValue& value,
                   const tasks::StepKey& key,
                   const optim::OptimOptions& options,
                   int64_t total_steps) {
  value.loss.backward();

  const bool has_shared = state.shared() != nullptr;
  const double norm =
      std::hypot(gradient_norm(state.owned()),
                 has_shared ? gradient_norm(*state.shared()) : 0.0);
  const StepResult result{
      .loss = value.loss.item<double>(),
      .num_correct = value.num_correct.item<int64_t>(),
      .gradient_norm = norm,
      .learning_rate = optim::learning_rate(options, key.step, total_steps)};
  DBLOCKS_CHECK(
      std::isfinite(result.loss) && std::isfinite(norm), ConfigError,
      "[train] expected a finite loss and gradient, found loss {} and gradient "
      "norm {} in block {}, step {}. Hint: lower optim.learning_rate or set "
      "optim.clip_norm",
      result.loss, norm, key.unit, key.step);

  const optim::AdamWStep step{
      .learning_rate = result.learning_rate,
      .weight_decay = options.weight_decay,
      .beta1 = options.beta1,
      .beta2 = options.beta2,
      .eps = options.eps,
      .gradient_scale = optim::clip_scale(norm, options.clip_norm)};
  update(state.owned(), step, options.ema_decay);
  if (has_shared) {
    update(*state.shared(), step, options.ema_decay);
  }
  return result;
}

}  // namespace dblocks::train
