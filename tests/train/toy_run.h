// SPDX-License-Identifier: Apache-2.0
// A run small enough to be trained many times in a test: generated images whose
// class can be seen, a narrow ViT, a temporary folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "dblocks/data/dataset.h"
#include "dblocks/train/run_setup.h"
#include "dblocks/train/trainer.h"

namespace dblocks::train::testing {

/// A folder that goes with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// 96 grey images of 8 x 8 pixels in 4 classes.
data::Dataset toy_images();

/// Three blocks of one layer each, 12 steps a block, checkpoints every 5.
RunSetup toy_setup();

RunSetup with_schedule(TrainingSchedule schedule);

/// The same with every outer part but the target table shared.
RunSetup shared_setup();

/// The same images generated instead of classified.
RunSetup generation_setup();

/// Trains; stops after `stop_after` steps of this call where given.
TrainResult train_toy(const RunSetup& setup,
                      const std::filesystem::path& folder,
                      std::optional<int64_t> only_unit = std::nullopt,
                      int64_t stop_after = -1);

/// What must not depend on how a run came about: per file of the newest
/// checkpoints its bytes, and the lines of the logs without timings.
std::map<std::string, std::string> contents(const RunSetup& setup,
                                            const std::filesystem::path& run);

}  // namespace dblocks::train::testing
