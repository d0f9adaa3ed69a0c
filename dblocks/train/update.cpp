// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/update.h"

#include <ATen/Parallel.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <functional>
#include <span>

#include "dblocks/optim/ema.h"
#include "dblocks/optim/gradient_norm.h"

namespace dblocks::train {
namespace {

void run_on_torch_threads(int64_t num_chunks,
                          const std::function<void(int64_t)>& body) {
  at::parallel_for(0, num_chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      body(chunk);
    }
  });
}

std::span<float> elements(const at::Tensor& flat) {
  return {static_cast<float*>(flat.mutable_data_ptr()),
          static_cast<size_t>(flat.numel())};
}

}  // namespace

double gradient_norm(const FlatState& state) {
  const at::Tensor& gradient = state.gradient();
  if (gradient.is_cpu()) {
    return optim::gradient_norm(elements(gradient), run_on_torch_threads);
  }
  return at::linalg_vector_norm(gradient, 2, {}, false, at::kDouble)
      .item<double>();
}

void adamw_update(FlatState& state, const optim::AdamWStep& step) {
  if (!state.weights().is_cpu()) {
    adamw_update_composed(state, step);
    return;
  }
  optim::adamw_update(step,
                      {.weights = elements(state.weights()),
                       .gradient = elements(state.gradient()),
                       .first_moment = elements(state.first_moment()),
                       .second_moment = elements(state.second_moment()),
                       .decayed_count = state.num_decayed()},
                      run_on_torch_threads);
}

void adamw_update_composed(FlatState& state, const optim::AdamWStep& step) {
  c10::NoGradGuard no_grad;
  const double correction1 = 1 - std::pow(step.beta1, step.step);
  const double correction2 = 1 - std::pow(step.beta2, step.step);
  at::Tensor weights = state.weights();
  at::Tensor m = state.first_moment(), v = state.second_moment();
  const at::Tensor g = state.gradient() * step.gradient_scale;
  weights.narrow(0, 0, state.num_decayed())
      .mul_(1 - step.learning_rate * step.weight_decay);
  m.lerp_(g, 1 - step.beta1);
  v.mul_(step.beta2).addcmul_(g, g, 1 - step.beta2);
  const at::Tensor scale = v.sqrt().div_(std::sqrt(correction2)).add_(step.eps);
  weights.addcdiv_(m, scale, -step.learning_rate / correction1);
}

void ema_update(FlatState& state, double decay) {
  if (state.average().is_cpu()) {
    optim::ema_update(elements(state.average()), elements(state.weights()),
                      decay, run_on_torch_threads);
    return;
  }
  c10::NoGradGuard no_grad;
  at::Tensor(state.average()).lerp_(state.weights(), 1 - decay);
}

}  // namespace dblocks::train
