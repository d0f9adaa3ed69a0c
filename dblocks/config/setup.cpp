// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/setup.h"

#include <vector>

#include "dblocks/config/fingerprint.h"
#include "dblocks/train/precision.h"

namespace dblocks::config {

namespace {

/// Mean or deviation of each channel. Generated images are scaled to [-1, 1]
/// where neither the recipe nor data of one's own say anything else.
std::vector<double> pixel_scale(const RunConfig& config,
                                const std::vector<double>& given,
                                const data::DatasetInfo& info,
                                const std::vector<double>& own) {
  if (!config.generates_images() || !given.empty()) {
    return given;
  }
  const bool is_own = config.data.dataset == "image_folder" ||
                      config.data.dataset == "safetensors";
  return is_own ? own
                : std::vector<double>(static_cast<size_t>(info.channels), 0.5);
}

}  // namespace

train::RunSetup make_setup(const RunConfig& config,
                           const data::DatasetInfo& info) {
  const auto seed = static_cast<uint64_t>(config.seed);
  const models::VitShape shape{
      .options = config.model,
      .channels = info.channels,
      .rows = info.rows,
      .columns = info.columns,
      .num_classes = info.num_classes(),
      .compute = train::compute_type(config.train.precision)};
  const models::DitShape dit{
      .options = models::resolve(config.dit),
      .channels = info.channels,
      .rows = info.rows,
      .columns = info.columns,
      .num_classes = info.num_classes(),
      .compute = train::compute_type(config.train.precision)};
  return {
      .task = {.kind = config.kind,
               .method = config.method,
               .shape = shape,
               .dit = dit,
               .blocks = config.blocks,
               .noise = config.noise,
               .partition = config.partition,
               .classification = config.task,
               .generation = config.generation,
               .seed = seed,
               .recompute = config.train.recompute == train::Recompute::kLayer},
      .loader = {.batch_size = config.data.batch_size,
                 .workers = config.data.workers,
                 .prefetch = config.data.prefetch,
                 .seed = seed,
                 .augment = config.data.augment,
                 .mean = pixel_scale(config, config.data.mean, info, info.mean),
                 .std = pixel_scale(config, config.data.std, info, info.std)},
      .readout = config.readout,
      .sampling = config.sampling,
      .evaluation = config.evaluation,
      .optim = config.optim,
      .train = config.train,
      .checkpoint = config.checkpoint,
      .report = config.report,
      .fingerprint = fingerprint(config)};
}

}  // namespace dblocks::config
