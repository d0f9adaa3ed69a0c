// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/memory_probe.h"

#include <memory>

#include "dblocks/data/loader.h"
#include "dblocks/memory/meter.h"
#include "dblocks/train/block_step.h"
#include "dblocks/train/device_batch.h"
#include "dblocks/train/unit_state.h"

namespace dblocks::train {
namespace {

StepMemory measure_unit(const RunSetup& setup,
                        const tasks::Task& task,
                        const data::Dataset& train_set,
                        int64_t unit) {
  data::Loader loader(train_set, setup.loader);
  const int64_t before = memory::cpu_live_bytes();
  std::unique_ptr<FlatState> shared;
  if (setup.has_shared_parts()) {
    shared = std::make_unique<FlatState>(
        parameters_of(*task.make_unit(0), blocks::Ownership::kShared,
                      setup.optim.weight_decay_on),
        setup.optim.state_format());
  }
  UnitState state(task.make_unit(unit), setup.optim, shared.get(), at::kCPU);
  StepMemory result{.unit = unit,
                    .num_layers = task.layers(unit).num_layers(),
                    .num_parameters = state.owned().num_parameters() +
                                      (shared ? shared->num_parameters() : 0),
                    .state_bytes = memory::cpu_live_bytes() - before};
  for (int64_t step = 0; step < 2; ++step) {
    memory::reset_cpu_peak();
    const tasks::LabelledBatch batch =
        to_device(loader.next(), train_set.info(), at::kCPU);
    block_step(state, batch, {setup.task.seed, unit, step},
               {.optim = setup.optim,
                .total_steps = 2,
                .micro_batch = setup.train.micro_batch});
  }
  result.peak_bytes = memory::cpu_peak_bytes() - before;
  return result;
}

}  // namespace

std::vector<StepMemory> measure_step_memory(const RunSetup& setup,
                                            const data::Dataset& train_set) {
  const std::unique_ptr<tasks::Task> task = tasks::make_task(setup.task);
  std::vector<StepMemory> result;
  for (int64_t unit = 0; unit < task->num_units(); ++unit) {
    result.push_back(measure_unit(setup, *task, train_set, unit));
  }
  return result;
}

}  // namespace dblocks::train
