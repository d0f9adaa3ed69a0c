// SPDX-License-Identifier: Apache-2.0
// data.json of a run folder: what images and classes the run was trained on, so
// that it can be asked about new images where its data are not.
#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "dblocks/data/dataset.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::cli {

/// Writes data.json of `folder` unless it is there.
void keep_data_info(const train::RunFolder& folder,
                    const data::DatasetInfo& info);

/// Reads it; nothing for a run that has none. *Errors*: CheckpointError if it
/// is damaged.
std::optional<data::DatasetInfo> read_data_info(const train::RunFolder& folder);

/// Checks that data opened now have the shape and the classes that the run in
/// `folder` was trained on; of named data sets only their number, because label
/// files may be missing. *Errors*: DataError.
void check_data_info(const train::RunFolder& folder,
                     const data::DatasetInfo& info);

/// Says which samples of `set` were passed over as damaged, and why.
void print_bad_samples(const data::Dataset& set, const char* split);

/// A trained network without its data.
struct TrainedNetwork {
  train::RunSetup setup;
  data::DatasetInfo data;
};

/// Opens the network of a run; only runs without data.json need their data for
/// that. `overrides`: as for open_run(). *Errors*: CheckpointError if the
/// folder holds no run.
TrainedNetwork open_network(const std::filesystem::path& run,
                            at::Device device,
                            const std::vector<std::string>& overrides = {});

}  // namespace dblocks::cli
