// SPDX-License-Identifier: Apache-2.0
// Everything a recipe can say, as one tree of plain options. Each struct lives
// beside the component that it configures; only this folder knows TOML.
#pragma once

#include <cstdint>
#include <string>

#include "dblocks/blocks/options.h"
#include "dblocks/core/fields.h"
#include "dblocks/data/options.h"
#include "dblocks/models/dit_options.h"
#include "dblocks/models/vit_options.h"
#include "dblocks/noise/noise_schedule.h"
#include "dblocks/noise/partition.h"
#include "dblocks/optim/options.h"
#include "dblocks/report/options.h"
#include "dblocks/tasks/generation_options.h"
#include "dblocks/tasks/options.h"
#include "dblocks/train/options.h"

namespace dblocks::config {

/// Version of the recipe format that this program reads and writes.
inline constexpr int64_t kRecipeFormat = 1;

/// A whole run. Read by load_recipe(), completed by resolve(), checked by
/// validate(), then left alone: a run is a function of this tree and the data.
struct RunConfig {
  /// Version of the recipe format.
  int64_t format = kRecipeFormat;
  /// Name of the run in reports; without effect on the result.
  std::string name;
  /// Key of every random stream of the run; at least 0.
  int64_t seed = 0;
  /// The key `task` of a recipe.
  tasks::TaskKind kind = tasks::TaskKind::kClassification;
  tasks::Method method = tasks::Method::kDiffusionBlocks;
  data::DataOptions data;
  models::VitOptions model;
  models::DitOptions dit;
  noise::NoiseOptions noise;
  noise::PartitionOptions partition;
  blocks::BlocksOptions blocks;
  /// The table [classification] of a recipe.
  tasks::ClassificationOptions task;
  tasks::ReadoutOptions readout;
  tasks::GenerationOptions generation;
  tasks::SamplingOptions sampling;
  tasks::EvaluationOptions evaluation;
  optim::OptimOptions optim;
  train::TrainOptions train;
  train::CheckpointOptions checkpoint;
  report::EventOptions report;

  bool generates_images() const {
    return kind == tasks::TaskKind::kImageGeneration;
  }
  /// Layers of the whole stack.
  int64_t num_layers() const {
    return generates_images() ? models::resolve(dit).num_layers
                              : model.num_layers;
  }
};

void visit_fields(FieldVisitor& visitor, RunConfig& config);

}  // namespace dblocks::config
