// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/setup.h"

#include "dblocks/config/fingerprint.h"
#include "dblocks/train/precision.h"

namespace dblocks::config {

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
  return {
      .task = {.method = config.method,
               .shape = shape,
               .blocks = config.blocks,
               .noise = config.noise,
               .partition = config.partition,
               .classification = config.task,
               .seed = seed,
               .recompute = config.train.recompute == train::Recompute::kLayer},
      .loader = {.batch_size = config.data.batch_size,
                 .workers = config.data.workers,
                 .prefetch = config.data.prefetch,
                 .seed = seed,
                 .augment = config.data.augment,
                 .mean = config.data.mean,
                 .std = config.data.std},
      .readout = config.readout,
      .optim = config.optim,
      .train = config.train,
      .checkpoint = config.checkpoint,
      .report = config.report,
      .fingerprint = fingerprint(config)};
}

}  // namespace dblocks::config
