// SPDX-License-Identifier: Apache-2.0
#include "cli/run_folders.h"

#include <string>

#include "dblocks/checkpoint/store.h"
#include "dblocks/core/error.h"
#include "dblocks/core/file_system.h"

namespace dblocks::cli {

std::vector<std::filesystem::path> checkpoint_folders(
    const std::filesystem::path& run) {
  FileSystem& disk = real_file_system();
  DBLOCKS_CHECK(std::filesystem::is_directory(run), CheckpointError,
                "[run] {}: expected the folder of a run, found none",
                run.string());
  std::vector<std::filesystem::path> homes;
  if (disk.exists(run / "blocks")) {
    for (const std::string& block : disk.list(run / "blocks")) {
      homes.push_back(run / "blocks" / block);
    }
  }
  if (disk.exists(run / "shared")) {
    homes.push_back(run / "shared");
  }
  std::vector<std::filesystem::path> folders;
  for (const std::filesystem::path& home : homes) {
    if (!disk.exists(home / "checkpoints")) {
      continue;
    }
    checkpoint::CheckpointStore store(disk, home / "checkpoints");
    for (const int64_t step : store.steps()) {
      folders.push_back(store.step_folder(step));
    }
  }
  return folders;
}

}  // namespace dblocks::cli
