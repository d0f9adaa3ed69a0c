// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/step_plan.h"

namespace dblocks::train {

namespace {

memory::StepShape dit_shape(const RunSetup& setup) {
  const models::DitShape& dit = setup.task.dit;
  const bool is_block = setup.task.method == tasks::Method::kDiffusionBlocks;
  return {.batch_size = setup.loader.batch_size,
          .tokens = dit.num_patches(),
          .patches = dit.num_patches(),
          .patch_numbers = dit.channels * dit.options.patch * dit.options.patch,
          .width = dit.options.width,
          .heads = dit.options.heads,
          .mlp_width = dit.mlp_width(),
          .num_classes = dit.num_classes,
          .condition_width = dit.options.width,
          .compute_bytes = dit.compute == at::kFloat ? 4 : 2,
          .micro_batch = setup.train.micro_batch,
          .recompute = setup.task.recompute,
          .format = setup.optim.state_format(),
          .ownership = is_block ? setup.task.blocks.ownership
                                : blocks::OwnershipOptions{},
          .generates_images = true};
}

}  // namespace

memory::StepShape step_shape(const RunSetup& setup) {
  if (setup.task.kind == tasks::TaskKind::kImageGeneration) {
    return dit_shape(setup);
  }
  const models::VitShape& vit = setup.task.shape;
  const bool denoises = setup.task.method == tasks::Method::kDiffusionBlocks;
  const bool appended = vit.options.label_input == models::LabelInput::kAppend;
  return {.batch_size = setup.loader.batch_size,
          .tokens = vit.num_patches() + (denoises && appended ? 2 : 1),
          .patches = vit.num_patches(),
          .patch_numbers = vit.channels * vit.options.patch * vit.options.patch,
          .width = vit.options.width,
          .heads = vit.options.heads,
          .mlp_width = vit.options.mlp_width,
          .num_classes = vit.num_classes,
          .condition_width = denoises ? vit.sigma_embedding_width() : 0,
          .has_class_token = !denoises || appended,
          .has_silu_after =
              vit.options.modulation == models::Modulation::kPublished,
          .dropout = vit.options.dropout,
          .compute_bytes = vit.compute == at::kFloat ? 4 : 2,
          .micro_batch = setup.train.micro_batch,
          .recompute = setup.task.recompute,
          .format = setup.optim.state_format(),
          .ownership = setup.task.blocks.ownership};
}

std::vector<memory::UnitShape> unit_shapes(const RunSetup& setup) {
  const std::unique_ptr<tasks::Task> task = tasks::make_task(setup.task);
  const bool is_greedy = setup.task.method == tasks::Method::kGreedy;
  std::vector<memory::UnitShape> shapes;
  std::vector<int64_t> before;
  for (int64_t unit = 0; unit < task->num_units(); ++unit) {
    const int64_t layers = task->layers(unit).num_layers();
    shapes.push_back({.num_layers = layers,
                      .has_stem = unit == 0 || !is_greedy,
                      .before = before});
    if (is_greedy) {
      before.push_back(layers);
    }
  }
  return shapes;
}

std::vector<memory::UnitPlan> plan_steps(const RunSetup& setup) {
  const memory::StepShape shape = step_shape(setup);
  std::vector<memory::UnitPlan> plans;
  for (const memory::UnitShape& unit : unit_shapes(setup)) {
    plans.push_back(memory::plan_unit(shape, unit));
  }
  return plans;
}

}  // namespace dblocks::train
