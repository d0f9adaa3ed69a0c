// SPDX-License-Identifier: Apache-2.0
// A unit with drawn weights and a batch, for tests of single steps.
#pragma once

#include <ATen/Context.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <c10/core/GradMode.h>

#include <memory>

#include "dblocks/tasks/task.h"
#include "dblocks/train/block_step.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::train::testing {

/// Unit `unit` of `setup`, every weight drawn, so that parts that start at zero
/// take part. Requires: no shared parts.
inline std::unique_ptr<UnitState> drawn_state(const RunSetup& setup,
                                              int64_t unit,
                                              at::Device device = at::kCPU) {
  auto state =
      std::make_unique<UnitState>(tasks::make_task(setup.task)->make_unit(unit),
                                  setup.optim, nullptr, device);
  at::manual_seed(4);
  c10::NoGradGuard no_grad;
  for (const tasks::UnitParameter& p : state->unit().parameters()) {
    at::Tensor(p.tensor).copy_(at::randn(p.tensor.sizes()) * 0.2);
  }
  return state;
}

inline tasks::LabelledBatch drawn_batch(const RunSetup& setup,
                                        int64_t samples) {
  at::manual_seed(9);
  const auto of = [samples](const auto& shape) {
    return tasks::LabelledBatch{
        at::randn({samples, shape.channels, shape.rows, shape.columns}),
        at::randint(shape.num_classes, {samples}, at::kLong)};
  };
  return setup.task.kind == tasks::TaskKind::kClassification
             ? of(setup.task.shape)
             : of(setup.task.dit);
}

/// |a - b| / |b|.
inline double relative_distance(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

}  // namespace dblocks::train::testing
