// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/update.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bucketize.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <span>
#include <utility>

#include "dblocks/optim/adamw_int8.h"
#include "dblocks/optim/dynamic_code.h"
#include "dblocks/optim/gradient_norm.h"
#include "dblocks/optim/weight_rounding.h"
#include "dblocks/train/device_update.h"

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

template <class Element = float>
std::span<Element> elements(const at::Tensor& flat) {
  return {static_cast<Element*>(flat.mutable_data_ptr()),
          static_cast<size_t>(flat.numel())};
}

void adamw_int8_update(FlatState& state, const optim::AdamWStep& step) {
  optim::adamw_int8_update(
      step,
      {.weights = elements(state.weights()),
       .gradient = elements(state.gradient()),
       .first_moment = {elements<uint8_t>(state.first_moment()),
                        elements(state.first_scales())},
       .second_moment = {elements<uint8_t>(state.second_moment()),
                         elements(state.second_scales())},
       .decayed_count = state.num_decayed()},
      run_on_torch_threads);
}

/// Where weights are stored in bf16: rounds and stores them.
void store_weights(FlatState& state, const optim::AdamWStep& step) {
  if (state.stored_weights().defined()) {
    optim::round_weights(elements(state.weights()),
                         elements<uint16_t>(state.stored_weights()),
                         step.rounding_key, run_on_torch_threads);
  }
}

/// The twin of store_weights() for any device: adds to each weight, as whole
/// numbers, the bits that rounding_bits() gives, and cuts off the lower half.
void store_weights_composed(FlatState& state, const optim::AdamWStep& step) {
  if (!state.stored_weights().defined()) {
    return;
  }
  constexpr int64_t kMask = 0xFFFFFFFF;
  at::Tensor h = at::arange(state.num_elements(),
                            state.weights().options().dtype(at::kLong))
                     .mul_(int64_t{0x9E3779B1})
                     .add_(int64_t{step.rounding_key})
                     .bitwise_and_(kMask);
  h = (h ^ h.__rshift__(16)).mul_(int64_t{0x85EBCA6B}).bitwise_and_(kMask);
  h = (h ^ h.__rshift__(13)).mul_(int64_t{0xC2B2AE35}).bitwise_and_(kMask);
  h = (h ^ h.__rshift__(16)).bitwise_and_(int64_t{0xFFFF});
  const at::Tensor bits =
      state.weights().view(at::kInt).to(at::kLong).add_(h).bitwise_and_(
          ~int64_t{0xFFFF});
  at::Tensor(state.weights()).copy_(bits.to(at::kInt).view(at::kFloat));
  at::Tensor(state.stored_weights()).copy_(state.weights());
}

at::Tensor on_device(std::span<const float> numbers, at::Device device) {
  return at::tensor(at::ArrayRef<float>(numbers.data(), numbers.size()))
      .to(device);
}

/// The numbers that a moment's codes stand for. *Shapes*: [blocks,
/// kMomentBlock].
at::Tensor decoded(const optim::DynamicCode& code,
                   const at::Tensor& codes,
                   const at::Tensor& scales) {
  return on_device(code.values(), codes.device())
             .index_select(0, codes.to(at::kInt))
             .view({-1, kMomentBlock}) *
         scales.unsqueeze(1);
}

/// Codes and scales of a moment.
std::pair<at::Tensor, at::Tensor> coded(const optim::DynamicCode& code,
                                        const at::Tensor& moment) {
  const std::span<const float> magnitudes = code.magnitudes();
  const at::Tensor known = on_device(magnitudes, moment.device());
  const int64_t last = known.numel() - 1;
  const at::Tensor middles =
      (known.narrow(0, 0, last) + known.narrow(0, 1, last)) * 0.5;
  const at::Tensor scales = moment.abs().amax(1);
  const at::Tensor shares =
      moment.abs() / at::where(scales > 0, scales, 1).unsqueeze(1);
  at::Tensor codes = at::bucketize(shares, middles);
  if (&code == &optim::DynamicCode::with_sign()) {
    codes = at::where(moment < 0, 256 - codes.clamp_max(last - 1), codes);
  } else {
    codes = at::maximum(codes, (moment > 0).to(codes.scalar_type()));
  }
  return {codes.to(at::kByte).flatten(), scales};
}

/// The twin of the fused update in 8 bits. It works everything out before it
/// changes anything.
void adamw_int8_update_composed(FlatState& state,
                                const optim::AdamWStep& step) {
  const auto& with_sign = optim::DynamicCode::with_sign();
  const auto& without_sign = optim::DynamicCode::without_sign();
  const double correction1 = 1 - std::pow(step.beta1, step.step);
  const double correction2 = 1 - std::pow(step.beta2, step.step);
  at::Tensor m = decoded(with_sign, state.first_moment(), state.first_scales());
  at::Tensor v =
      decoded(without_sign, state.second_moment(), state.second_scales());
  const at::Tensor g =
      (state.gradient() * step.gradient_scale).view({-1, kMomentBlock});
  m.lerp_(g, 1 - step.beta1);
  v.mul_(step.beta2).addcmul_(g, g, 1 - step.beta2);
  const at::Tensor scale = v.sqrt().div_(std::sqrt(correction2)).add_(step.eps);
  at::Tensor weights = state.weights().clone();
  weights.narrow(0, 0, state.num_decayed())
      .mul_(1 - step.learning_rate * step.weight_decay);
  weights.view({-1, kMomentBlock})
      .addcdiv_(m, scale, -step.learning_rate / correction1);
  const auto [first_codes, first_scales] = coded(with_sign, m);
  const auto [second_codes, second_scales] = coded(without_sign, v);
  at::Tensor(state.weights()).copy_(weights);
  at::Tensor(state.first_moment()).copy_(first_codes);
  at::Tensor(state.first_scales()).copy_(first_scales);
  at::Tensor(state.second_moment()).copy_(second_codes);
  at::Tensor(state.second_scales()).copy_(second_scales);
}

}  // namespace

double gradient_norm(const FlatState& state) {
  const at::Tensor& gradient = state.gradient();
  if (gradient.is_cpu()) {
    return optim::gradient_norm(elements(gradient), run_on_torch_threads);
  }
  if (has_device_update(state)) {
    at::Tensor scratch = at::empty({ops::cuda::kNormPartials + 1},
                                   gradient.options().dtype(at::kDouble));
    start_gradient_norm(state, scratch);
    return scratch.select(0, ops::cuda::kNormPartials).item<double>();
  }
  return at::linalg_vector_norm(gradient, 2, {}, false, at::kDouble)
      .item<double>();
}

void adamw_update(FlatState& state, const optim::AdamWStep& step) {
  if (has_device_update(state)) {
    // A decay of 1 leaves an average alone.
    update_state(state, step, {1, 1});
    return;
  }
  if (!state.weights().is_cpu()) {
    adamw_update_composed(state, step);
    return;
  }
  if (state.moment_format() == MomentFormat::kInt8) {
    adamw_int8_update(state, step);
  } else {
    optim::adamw_update(step,
                        {.weights = elements(state.weights()),
                         .gradient = elements(state.gradient()),
                         .first_moment = elements(state.first_moment()),
                         .second_moment = elements(state.second_moment()),
                         .decayed_count = state.num_decayed()},
                        run_on_torch_threads);
  }
  store_weights(state, step);
}

void update_state(FlatState& state,
                  const optim::AdamWStep& step,
                  const optim::EmaDecays& decays) {
  if (has_device_update(state)) {
    const ops::cuda::UpdateFactors factors = update_factors(step);
    at::Tensor bytes =
        at::empty({static_cast<int64_t>(sizeof(factors))}, at::kByte);
    std::memcpy(bytes.mutable_data_ptr(), &factors, sizeof(factors));
    bytes = bytes.to(state.weights().device());
    start_update(
        state,
        static_cast<const ops::cuda::UpdateFactors*>(bytes.const_data_ptr()),
        decays);
    return;
  }
  adamw_update(state, step);
  ema_update(state, decays);
}

void adamw_update_composed(FlatState& state, const optim::AdamWStep& step) {
  c10::NoGradGuard no_grad;
  if (state.moment_format() == MomentFormat::kInt8) {
    adamw_int8_update_composed(state, step);
    store_weights_composed(state, step);
    return;
  }
  const double correction1 = 1 - std::pow(step.beta1, step.step);
  const double correction2 = 1 - std::pow(step.beta2, step.step);
  at::Tensor weights = state.weights();
  at::Tensor m = state.first_moment(), v = state.second_moment();
  // All memory before the first change: what fails leaves the state as it was.
  const at::Tensor g = state.gradient() * step.gradient_scale;
  at::Tensor scale = at::empty_like(v);
  weights.narrow(0, 0, state.num_decayed())
      .mul_(1 - step.learning_rate * step.weight_decay);
  m.lerp_(g, 1 - step.beta1);
  v.mul_(step.beta2).addcmul_(g, g, 1 - step.beta2);
  at::sqrt_out(scale, v).div_(std::sqrt(correction2)).add_(step.eps);
  weights.addcdiv_(m, scale, -step.learning_rate / correction1);
  store_weights_composed(state, step);
}

void ema_update(FlatState& state, const optim::EmaDecays& decays) {
  c10::NoGradGuard no_grad;
  for (int64_t i = 0; i < state.num_averages(); ++i) {
    const at::Tensor& average = state.average(i);
    if (average.is_cpu()) {
      optim::ema_update(elements(average), elements(state.weights()),
                        decays.at(i), run_on_torch_threads);
    } else {
      at::Tensor(average).lerp_(state.weights(), 1 - decays.at(i));
    }
  }
}

}  // namespace dblocks::train
