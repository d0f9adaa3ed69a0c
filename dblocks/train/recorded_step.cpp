// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/recorded_step.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "dblocks/core/error.h"
#include "dblocks/core/log.h"
#include "dblocks/ops/cuda/plugin.h"
#include "dblocks/ops/dropout.h"
#include "dblocks/optim/learning_rate.h"
#include "dblocks/train/device_update.h"
#include "dblocks/train/memory_recovery.h"

namespace dblocks::train {
namespace {

using ops::cuda::UpdateFactors;

// Calls of dropout in a step, at most: three a layer and one in front.
constexpr int64_t kMaxKeys = 4096;
// What LibTorch sets up at first use is set up after so many steps of a run.
constexpr int64_t kStepsBefore = 3;
// Recording takes as long as some two steps that are taken one by one.
constexpr int64_t kFewestSteps = 4;

constexpr int64_t kFactorBytes = 2 * sizeof(UpdateFactors);
constexpr int64_t kKeyOffset = (kFactorBytes + 15) / 16 * 16;

}  // namespace

RecordedStep::RecordedStep(UnitState& state,
                           const tasks::LabelledBatch& batch,
                           const tasks::StepKey& key,
                           const StepOptions& options,
                           ops::cuda::Graph* before)
    : state_(state),
      batch_{at::empty_like(batch.images), at::empty_like(batch.labels)} {
  const at::Device device = batch.images.device();
  const auto bytes = at::TensorOptions(at::kByte);
  const auto numbers = at::TensorOptions(at::kDouble).device(device);
  sent_ = at::empty({kKeyOffset + 8 * kMaxKeys}, bytes.device(device));
  host_sent_ = at::empty(sent_.sizes(), bytes.pinned_memory(true));
  keys_ = sent_.narrow(0, kKeyOffset, 8 * kMaxKeys).view(at::kLong);
  norms_.assign(2, at::Tensor());
  for (at::Tensor& scratch : norms_) {
    scratch = at::empty({ops::cuda::kNormPartials + 1}, numbers);
  }
  loss_ = at::empty({1}, numbers);
  result_ = at::empty({3}, numbers);
  for (const at::Tensor& tensor : state.unit().draw(batch, key)) {
    drawn_.push_back(at::empty_like(tensor));
  }
  send(batch, key, options);
  state.owned().zero_gradient();
  if (state.shared() != nullptr) {
    state.shared()->zero_gradient();
  }
  graph_.reset(ops::cuda::kernels()->make_graph());
  graph_->capture([&] { run(options); }, before);
}

RecordedStep::~RecordedStep() = default;

UpdateFactors* RecordedStep::factors(int64_t index) {
  return reinterpret_cast<UpdateFactors*>(sent_.mutable_data_ptr()) + index;
}

/// What is recorded.
void RecordedStep::run(const StepOptions& options) {
  FlatState* shared = state_.shared();
  state_.owned().zero_gradient();
  if (shared != nullptr) {
    shared->zero_gradient();
  }
  {
    const ops::StoredDropoutKeys stored(keys_);
    const tasks::LossValue value = state_.unit().loss(
        batch_, drawn_, {.first = 0, .count = batch_.labels.size(0)});
    value.loss.backward();
    loss_.copy_(value.loss.detach().reshape({1}));
    result_.narrow(0, 2, 1).copy_(value.num_correct.reshape({1}));
    num_keys_ = stored.num_used();
  }
  const ops::cuda::Kernels& kernels = *ops::cuda::kernels();
  void* stream = ops::cuda::current_stream(loss_.device());
  const double* norm = start_gradient_norm(state_.owned(), norms_[0]);
  const double* second =
      shared == nullptr ? nullptr : start_gradient_norm(*shared, norms_[1]);
  const int64_t num_states = shared == nullptr ? 1 : 2;
  for (int64_t i = 0; i < num_states; ++i) {
    ops::cuda::check(kernels.clip(norm, second, loss_.const_data_ptr<double>(),
                                  options.optim.clip_norm, factors(i),
                                  result_.mutable_data_ptr<double>(), stream));
  }
  start_update(state_.owned(), factors(0), options.optim.ema_decays());
  if (shared != nullptr) {
    start_update(*shared, factors(1), options.optim.ema_decays());
  }
}

bool RecordedStep::fits(const tasks::LabelledBatch& batch) const {
  return batch.images.sizes() == batch_.images.sizes() &&
         batch.labels.sizes() == batch_.labels.sizes();
}

void RecordedStep::send(const tasks::LabelledBatch& batch,
                        const tasks::StepKey& key,
                        const StepOptions& options) {
  batch_.images.copy_(batch.images);
  batch_.labels.copy_(batch.labels);
  const std::vector<at::Tensor> drawn = state_.unit().draw(batch, key);
  for (size_t i = 0; i < drawn.size(); ++i) {
    drawn_[i].copy_(drawn[i]);
  }
  optim::AdamWStep update = adamw_step(options, key);
  auto* bytes = host_sent_.mutable_data_ptr<uint8_t>();
  const auto put_factors = [&](int64_t index, const FlatState& state) {
    update.step = state.step + 1;
    const UpdateFactors factors = update_factors(update);
    std::memcpy(bytes + index * sizeof(factors), &factors, sizeof(factors));
  };
  put_factors(0, state_.owned());
  if (state_.shared() != nullptr) {
    put_factors(1, *state_.shared());
  }
  at::manual_seed(dropout_seed(key));
  for (int64_t i = 0; i < num_keys_; ++i) {
    const uint64_t dropout_key = ops::draw_dropout_key();
    std::memcpy(bytes + kKeyOffset + i * 8, &dropout_key, 8);
  }
  sent_.copy_(host_sent_, /*non_blocking=*/true);
}

StepResult RecordedStep::step(const tasks::LabelledBatch& batch,
                              const tasks::StepKey& key,
                              const StepOptions& options) {
  send(batch, key, options);
  graph_->replay();
  const at::Tensor found = result_.cpu();
  const auto* numbers = found.const_data_ptr<double>();
  StepResult result{.loss = numbers[0],
                    .num_correct = static_cast<int64_t>(numbers[2]),
                    .gradient_norm = numbers[1],
                    .learning_rate = optim::learning_rate(
                        options.optim, key.step, options.total_steps)};
  // The update is skipped on the device by the same condition.
  check_finite(result, key, options);
  ++state_.owned().step;
  if (state_.shared() != nullptr) {
    ++state_.shared()->step;
  }
  return result;
}

bool Stepper::is_worth_recording(const tasks::LabelledBatch& batch,
                                 const StepOptions& options,
                                 int64_t steps_left) const {
  const bool is_whole =
      options.micro_batch == 0 || options.micro_batch >= batch.labels.size(0);
  return records_ && (has_recorded_ || steps_before_ >= kStepsBefore) &&
         steps_left >= kFewestSteps && is_whole && batch.images.is_cuda() &&
         ops::cuda::kernels() != nullptr;
}

StepResult Stepper::step(UnitState& state,
                         const tasks::LabelledBatch& batch,
                         const tasks::StepKey& key,
                         StepOptions& options,
                         int64_t steps_left) {
  if (!recorded_ && is_worth_recording(batch, options, steps_left)) {
    while (!record(state, batch, key, options) && last_graph_) {
      // What it holds may be what was missing.
      last_graph_.reset();
    }
  }
  if (recorded_ && recorded_->fits(batch)) {
    return recorded_->step(batch, key, options);
  }
  ++steps_before_;
  return step_within_memory(state, batch, key, options);
}

/// Whether that could be done.
bool Stepper::record(UnitState& state,
                     const tasks::LabelledBatch& batch,
                     const tasks::StepKey& key,
                     const StepOptions& options) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  try {
    recorded_ = std::make_unique<RecordedStep>(state, batch, key, options,
                                               last_graph_.get());
    last_graph_.reset();
    has_recorded_ = true;
    log().debug("[train] recorded a step of block {} in {:.1f} ms", key.unit,
                std::chrono::duration<double, std::milli>(Clock::now() - start)
                    .count());
  } catch (const c10::Error& error) {
    if (!last_graph_) {
      records_ = false;
      log().warn("[train] steps are not recorded as CUDA graphs: {}",
                 error.what_without_backtrace());
    }
  }
  return recorded_ != nullptr;
}

void Stepper::forget() {
  if (recorded_) {
    last_graph_ = recorded_->release_graph();
    recorded_.reset();
  }
}

}  // namespace dblocks::train
