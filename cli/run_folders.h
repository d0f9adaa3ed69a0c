// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <vector>

namespace dblocks::cli {

/// Every checkpoint folder of a run, block by block, oldest first.
/// *Errors*: CheckpointError if `run` is no folder.
std::vector<std::filesystem::path> checkpoint_folders(
    const std::filesystem::path& run);

}  // namespace dblocks::cli
