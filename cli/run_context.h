// SPDX-License-Identifier: Apache-2.0
// What the verbs that work on a recipe or a run have in common: reading the
// recipe, opening the data, choosing device and precision.
#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <string>
#include <vector>

#include "cli/command.h"
#include "dblocks/config/recipe.h"
#include "dblocks/data/dataset.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::cli {

/// A recipe ready to run.
struct RunContext {
  config::LoadedConfig loaded;
  data::DataSplits data;
  train::RunSetup setup;
};

/// Reads and resolves a recipe and opens its data. Warnings go to the log.
/// *Errors*: ConfigError, DataError.
RunContext open_recipe(const std::filesystem::path& recipe,
                       const std::vector<std::string>& overrides,
                       at::Device device);

/// Reopens a run from its resolved recipe. `overrides` may change only what
/// does not change weights (where the data lie, readouts).
/// *Errors*: CheckpointError if the folder holds no run.
RunContext open_run(const std::filesystem::path& run,
                    const std::vector<std::string>& overrides,
                    at::Device device);

/// Checks that `overrides` leave the trained weights of a run alone.
/// *Errors*: ConfigError naming the key that does not.
void check_overrides(const config::RunConfig& run,
                     const std::vector<std::string>& overrides);

/// Memory that tensors on `device` may still take.
int64_t free_bytes(at::Device device);

/// Whether --device names a CUDA device, which need not be here. *Errors*:
/// ConfigError for another word than "cpu", "cuda" or "cuda:N".
bool names_cuda(const CommonFlags& flags);

/// Reads --device. Loads LibTorch's CUDA half when it is asked for. *Errors*:
/// as above; DeviceError if the device is not there.
at::Device open_device(const CommonFlags& flags);

/// Prepares the process for numerical work: threads, memory meter.
void prepare_process(const CommonFlags& flags);

}  // namespace dblocks::cli
