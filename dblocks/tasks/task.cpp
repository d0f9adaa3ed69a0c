// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/task.h"

#include "dblocks/tasks/classification_task.h"
#include "dblocks/tasks/generation_task.h"

namespace dblocks::tasks {
namespace {

std::vector<blocks::LayerRange> unit_layers(const TaskOptions& options) {
  const int64_t num_layers = options.num_layers();
  if (options.method == Method::kEndToEnd) {
    return {{0, num_layers}};
  }
  std::vector<blocks::LayerRange> ranges =
      blocks::layer_ranges(options.blocks, num_layers);
  if (options.method == Method::kEndToEndShallow) {
    ranges.resize(1);
  }
  return ranges;
}

}  // namespace

Task::Task(const TaskOptions& options, const noise::Partition& partition)
    : options_(options), partition_(partition), layers_(unit_layers(options)) {}

std::unique_ptr<Task> make_task(const TaskOptions& options) {
  if (options.kind == TaskKind::kImageGeneration) {
    return std::make_unique<GenerationTask>(options);
  }
  return std::make_unique<ClassificationTask>(options);
}

}  // namespace dblocks::tasks
