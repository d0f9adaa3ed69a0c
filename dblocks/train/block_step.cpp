// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/block_step.h"

#include <ATen/Context.h>

#include <algorithm>
#include <cmath>

#include "dblocks/core/batch_part.h"
#include "dblocks/core/error.h"
#include "dblocks/core/random.h"
#include "dblocks/optim/gradient_norm.h"
#include "dblocks/optim/learning_rate.h"
#include "dblocks/train/update.h"

namespace dblocks::train {
namespace {

/// Sums over the passes of a step.
struct Passes {
  double loss = 0;
  int64_t num_correct = 0;

  void add(const tasks::LossValue& value) {
    value.loss.backward();
    loss += value.loss.item<double>();
    num_correct += value.num_correct.item<int64_t>();
  }
};

/// Forward and backward of some samples. Each part starts from the same random
/// numbers and takes its own share of them; generators of other devices than
/// the CPU know no shares and get a start of their own.
void run_part(UnitState& state,
              const tasks::LabelledBatch& batch,
              const std::vector<at::Tensor>& drawn,
              const tasks::StepKey& key,
              const BatchPart& part,
              Passes& passes) {
  const uint64_t seed = dropout_seed(key);
  const bool draws_shares = batch.images.is_cpu();
  at::manual_seed(draws_shares ? seed
                               : seed + static_cast<uint64_t>(part.first));
  const BatchPartGuard guard(part);
  passes.add(state.unit().loss(batch, drawn, part));
}

void update(FlatState& state,
            optim::AdamWStep step,
            const optim::EmaDecays& decays) {
  step.step = state.step + 1;
  update_state(state, step, decays);
  state.step = step.step;
}

/// Clip, AdamW, averages.
StepResult update_weights(UnitState& state,
                          const Passes& passes,
                          const tasks::StepKey& key,
                          const StepOptions& options) {
  const optim::OptimOptions& optim = options.optim;
  const bool has_shared = state.shared() != nullptr;
  const double norm =
      std::hypot(gradient_norm(state.owned()),
                 has_shared ? gradient_norm(*state.shared()) : 0.0);
  StepResult result{.loss = passes.loss,
                    .num_correct = passes.num_correct,
                    .gradient_norm = norm,
                    .learning_rate = optim::learning_rate(optim, key.step,
                                                          options.total_steps)};
  check_finite(result, key, options);
  if (result.is_bad) {
    ++state.owned().step;
    if (has_shared) {
      ++state.shared()->step;
    }
    return result;
  }
  optim::AdamWStep step = adamw_step(options, key);
  step.gradient_scale = optim::clip_scale(norm, optim.clip_norm);
  update(state.owned(), step, optim.ema_decays());
  if (has_shared) {
    update(*state.shared(), step, optim.ema_decays());
  }
  return result;
}

}  // namespace

uint64_t dropout_seed(const tasks::StepKey& key) {
  return mix_seed(key.seed, RandomPurpose::kDropout,
                  static_cast<uint64_t>(key.unit),
                  static_cast<uint64_t>(key.step));
}

optim::AdamWStep adamw_step(const StepOptions& options,
                            const tasks::StepKey& key) {
  const optim::OptimOptions& optim = options.optim;
  return {
      .learning_rate =
          optim::learning_rate(optim, key.step, options.total_steps),
      .weight_decay = optim.weight_decay,
      .beta1 = optim.beta1,
      .beta2 = optim.beta2,
      .eps = optim.eps,
      .rounding_key = static_cast<uint32_t>(mix_seed(
          key.seed, RandomPurpose::kWeightRounding,
          static_cast<uint64_t>(key.unit), static_cast<uint64_t>(key.step)))};
}

void check_finite(StepResult& result,
                  const tasks::StepKey& key,
                  const StepOptions& options) {
  result.is_bad =
      !std::isfinite(result.loss) || !std::isfinite(result.gradient_norm);
  DBLOCKS_CHECK(
      !result.is_bad || !options.fails_if_bad, ConfigError,
      "[train] expected a finite loss and gradient, found loss {} and gradient "
      "norm {} in block {}, step {}. Hint: lower optim.learning_rate or set "
      "optim.clip_norm; --set train.on_bad_step=skip passes such steps over",
      result.loss, result.gradient_norm, key.unit, key.step);
}

StepResult block_step(UnitState& state,
                      const tasks::LabelledBatch& batch,
                      const tasks::StepKey& key,
                      const StepOptions& options) {
  state.owned().zero_gradient();
  if (state.shared() != nullptr) {
    state.shared()->zero_gradient();
  }
  const int64_t samples = batch.labels.size(0);
  const int64_t at_once =
      options.micro_batch > 0 ? options.micro_batch : samples;
  const std::vector<at::Tensor> drawn = state.unit().draw(batch, key);
  Passes passes;
  for (int64_t first = 0; first < samples; first += at_once) {
    run_part(state, batch, drawn, key,
             {.first = first, .count = std::min(at_once, samples - first)},
             passes);
  }
  return update_weights(state, passes, key, options);
}

StepResult descend(UnitState& state,
                   const tasks::LossValue& value,
                   const tasks::StepKey& key,
                   const StepOptions& options) {
  Passes passes;
  passes.add(value);
  return update_weights(state, passes, key, options);
}

}  // namespace dblocks::train
