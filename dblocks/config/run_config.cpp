// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/run_config.h"

namespace dblocks::config {

void visit_fields(FieldVisitor& visitor, RunConfig& config) {
  visitor.field({"format", "", "Version of the recipe format."}, config.format);
  visitor.field(
      {"name", "", "Name of the run in reports; does not change the result."},
      config.name);
  visitor.field({"seed", "", "Key of every random stream of the run."},
                config.seed);
  visitor.field({"task", "",
                 "What is learned: the class of an image with a ViT ([model]), "
                 "or images of a class with a DiT ([dit])."},
                config.kind);
  visitor.field({"method", "",
                 "What is trained: blocks that denoise, or one of the "
                 "baselines."},
                config.method);
  visitor.table("data", "Data set, loading and augmentation.", config.data);
  visitor.table("model", "Vision transformer.", config.model);
  visitor.table("dit", "Diffusion transformer, for image generation.",
                config.dit);
  visitor.table("noise", "Noise schedule: the distribution of sigma.",
                config.noise);
  visitor.table("partition", "How the noise axis is cut into intervals.",
                config.partition);
  visitor.table("blocks", "How the stack is cut into blocks.", config.blocks);
  visitor.table("classification", "Loss, label embeddings and bridge.",
                config.task);
  visitor.table("readout", "How a trained chain is read at evaluation.",
                config.readout);
  visitor.table("generation", "Training of image generation.",
                config.generation);
  visitor.table("sampling", "How images are drawn from trained blocks.",
                config.sampling);
  visitor.table("evaluation", "How drawn images are measured.",
                config.evaluation);
  visitor.table("optim", "AdamW, learning rate and averaged weights.",
                config.optim);
  visitor.table("train", "Length and order of training.", config.train);
  visitor.table("checkpoint", "When blocks are saved.", config.checkpoint);
  visitor.table("report", "What a run tells while it trains.", config.report);
}

}  // namespace dblocks::config
