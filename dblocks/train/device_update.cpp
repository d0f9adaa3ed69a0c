// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/device_update.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <span>

#include "dblocks/ops/cuda/plugin.h"
#include "dblocks/optim/adamw_factors.h"
#include "dblocks/optim/dynamic_code.h"

namespace dblocks::train {
namespace {

using ops::cuda::CodeTables;
using ops::cuda::UpdateFactors;

constexpr int64_t kTable = 256;

template <class Element = float>
Element* elements(const at::Tensor& flat) {
  return flat.defined() ? static_cast<Element*>(flat.mutable_data_ptr())
                        : nullptr;
}

void copy_code(const optim::DynamicCode& code, float* values, float* middles) {
  std::ranges::copy(code.values(), values);
  const std::span<const float> known = code.magnitudes();
  std::fill_n(middles, kTable, std::numeric_limits<float>::infinity());
  for (size_t i = 0; i + 1 < known.size(); ++i) {
    middles[i] = 0.5F * (known[i] + known[i + 1]);
  }
}

/// The codes' tables on a device, made at their first use.
CodeTables code_tables(at::Device device) {
  const auto& first = optim::DynamicCode::with_sign();
  const auto& second = optim::DynamicCode::without_sign();
  // Never destroyed: the device may be gone before static variables are.
  static auto* mutex = new std::mutex;
  static auto* tables = new std::map<c10::DeviceIndex, at::Tensor>;
  const std::scoped_lock lock(*mutex);
  at::Tensor& table = (*tables)[device.index()];
  if (!table.defined()) {
    at::Tensor host = at::empty({4, kTable}, at::kFloat);
    auto* numbers = host.mutable_data_ptr<float>();
    copy_code(first, numbers, numbers + kTable);
    copy_code(second, numbers + 2 * kTable, numbers + 3 * kTable);
    table = host.to(device);
  }
  const auto* numbers = table.const_data_ptr<float>();
  return {.first_values = numbers,
          .first_middles = numbers + kTable,
          .second_values = numbers + 2 * kTable,
          .second_middles = numbers + 3 * kTable,
          .num_first = static_cast<int32_t>(first.magnitudes().size()),
          .num_second = static_cast<int32_t>(second.magnitudes().size())};
}

}  // namespace

bool has_device_update(const FlatState& state) {
  return state.weights().is_cuda() && ops::cuda::kernels() != nullptr;
}

UpdateFactors update_factors(const optim::AdamWStep& step) {
  const optim::internal::Factors f = optim::internal::factors_of(step);
  return {.decay = f.decay,
          .gradient_scale = f.gradient_scale,
          .one_minus_beta1 = f.one_minus_beta1,
          .beta2 = f.beta2,
          .one_minus_beta2 = f.one_minus_beta2,
          .step_size = f.step_size,
          .root_correction2 = f.root_correction2,
          .eps = f.eps,
          .skip = 0,
          .rounding_key = step.rounding_key};
}

const double* start_gradient_norm(const FlatState& state, at::Tensor& scratch) {
  auto* partial = scratch.mutable_data_ptr<double>();
  double* norm = partial + ops::cuda::kNormPartials;
  const at::Tensor& gradient = state.gradient();
  ops::cuda::check(ops::cuda::kernels()->gradient_norm(
      elements(gradient), gradient.numel(), partial, norm,
      ops::cuda::current_stream(gradient.device())));
  return norm;
}

void start_update(FlatState& state,
                  const UpdateFactors* factors,
                  const optim::EmaDecays& decays) {
  const at::Device device = state.weights().device();
  const ops::cuda::FlatBuffers buffers{
      .weights = elements(state.weights()),
      .gradient = elements(state.gradient()),
      .first_moment = elements<void>(state.first_moment()),
      .second_moment = elements<void>(state.second_moment()),
      .first_scales = elements(state.first_scales()),
      .second_scales = elements(state.second_scales()),
      .stored_weights = elements<uint16_t>(state.stored_weights()),
      .averages = {{elements(state.average(0)),
                    static_cast<float>(1 - decays[0])},
                   {elements(state.average(1)),
                    static_cast<float>(1 - decays[1])}},
      .count = state.num_elements(),
      .decayed_count = state.num_decayed()};
  void* stream = ops::cuda::current_stream(device);
  const ops::cuda::Kernels& kernels = *ops::cuda::kernels();
  ops::cuda::check(
      state.moment_format() == MomentFormat::kInt8
          ? kernels.adamw_int8(buffers, code_tables(device), factors, stream)
          : kernels.adamw(buffers, factors, stream));
}

}  // namespace dblocks::train
