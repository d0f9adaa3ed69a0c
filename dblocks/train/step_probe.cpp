// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/step_probe.h"

#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "dblocks/memory/device_memory.h"
#include "dblocks/memory/meter.h"
#include "dblocks/train/block_step.h"
#include "dblocks/train/recorded_step.h"
#include "dblocks/train/unit_state.h"

namespace dblocks::train {
namespace {

tasks::LabelledBatch random_batch(const RunSetup& setup, at::Device device) {
  const int64_t samples = setup.loader.batch_size;
  const auto batch = [&](const auto& shape) -> tasks::LabelledBatch {
    return {at::randn({samples, shape.channels, shape.rows, shape.columns})
                .to(device),
            at::randint(shape.num_classes, {samples}, at::kLong).to(device)};
  };
  return setup.task.kind == tasks::TaskKind::kClassification
             ? batch(setup.task.shape)
             : batch(setup.task.dit);
}

std::unique_ptr<FlatState> shared_state(const RunSetup& setup,
                                        const tasks::Task& task,
                                        at::Device device) {
  if (!setup.has_shared_parts()) {
    return nullptr;
  }
  const std::unique_ptr<tasks::Unit> unit = task.make_unit(0);
  unit->network().to(device);
  return std::make_unique<FlatState>(
      parameters_of(*unit, blocks::Ownership::kShared,
                    setup.optim.weight_decay_on),
      setup.optim.state_format());
}

void reset_peak(at::Device device) {
  if (device.is_cpu()) {
    memory::reset_cpu_peak();
  } else {
    c10::getDeviceAllocator(device.type())->resetPeakStats(device.index());
  }
}

int64_t travelling_bytes(const FlatState& state) {
  int64_t bytes = 0;
  for (const at::Tensor& tensor :
       {state.stored_weights().defined() ? state.stored_weights()
                                         : state.weights(),
        state.first_moment(), state.second_moment(), state.first_scales(),
        state.second_scales(), state.average(0), state.average(1)}) {
    bytes += tensor.defined() ? static_cast<int64_t>(tensor.nbytes()) : 0;
  }
  return bytes;
}

/// The steps of one unit.
class Steps {
 public:
  Steps(const RunSetup& setup, int64_t unit, at::Device device)
      : setup_(setup),
        unit_(unit),
        task_(tasks::make_task(setup.task)),
        shared_(shared_state(setup, *task_, device)),
        state_(task_->make_unit(unit), setup.optim, shared_.get(), device),
        batch_(random_batch(setup, device)),
        options_{.optim = setup.optim,
                 .total_steps = kSteps,
                 .micro_batch = setup.train.micro_batch},
        stepper_(setup.train.cuda_graphs && !setup.task.recompute) {}

  void whole() {
    stepper_.step(state_, batch_, key(), options_, kSteps - step_);
  }
  bool is_recorded() const { return stepper_.is_recorded(); }

  void forward() { state_.unit().loss(batch_, key()); }

  /// The step of a loss that does not depend on the weights.
  void optimizer() {
    zero_gradients();
    const std::vector<at::Tensor> all = state_.unit().network().parameters();
    const at::Tensor& trained = *std::ranges::find_if(
        all, [](const at::Tensor& p) { return p.requires_grad(); });
    descend(state_, {trained.flatten()[0] * 0, at::zeros({}, at::kLong)}, key(),
            options_);
  }

  StepTime sizes() {
    return {.num_parameters = state_.owned().num_parameters() +
                              (shared_ ? shared_->num_parameters() : 0),
            .state_bytes = travelling_bytes(state_.owned())};
  }

 private:
  void zero_gradients() {
    state_.owned().zero_gradient();
    if (shared_) {
      shared_->zero_gradient();
    }
  }
  tasks::StepKey key() { return {setup_.task.seed, unit_, step_++}; }

  static constexpr int64_t kSteps = 1'000'000;  // no end of the schedule

  const RunSetup& setup_;
  int64_t unit_;
  std::unique_ptr<tasks::Task> task_;
  std::unique_ptr<FlatState> shared_;
  UnitState state_;
  tasks::LabelledBatch batch_;
  StepOptions options_;
  Stepper stepper_;
  int64_t step_ = 0;
};

}  // namespace

StepTime measure_step_time(const RunSetup& setup,
                           int64_t unit,
                           at::Device device,
                           const Repeats& repeats) {
  const int64_t before = device.is_cpu() ? memory::cpu_live_bytes() : 0;
  Steps steps(setup, unit, device);
  reset_peak(device);
  StepTime time = steps.sizes();
  Repeats whole = repeats;
  whole.warmup += device.is_cpu() ? 0 : 4;  // then steps are recorded
  time.seconds = time_runs([&] { steps.whole(); }, device, whole);
  time.is_recorded = steps.is_recorded();
  time.peak_bytes = memory::device_peak_bytes(device) - before;
  if (!device.is_cpu()) {
    return time;
  }
  if (setup.train.micro_batch == 0) {
    Repeats fewer = repeats;
    fewer.warmup = 0;
    fewer.least = std::min<int64_t>(repeats.least, 3);
    fewer.seconds /= 4;
    time.forward_seconds =
        time_runs([&] { steps.forward(); }, device, fewer).median;
    time.optimizer_seconds =
        time_runs([&] { steps.optimizer(); }, device, fewer).median;
  }
  return time;
}

}  // namespace dblocks::train
