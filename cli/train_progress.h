// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "dblocks/report/progress.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::cli {

/// The progress of a training on standard error. While it lives, lines of the
/// log are printed above its board.
class TrainProgress {
 public:
  TrainProgress();
  ~TrainProgress();

  /// Shows the blocks that train where they stand: at `steps` per block, with
  /// the loss of their newest line of log.jsonl.
  void set_blocks(const train::RunSetup& setup,
                  const train::RunFolder& folder,
                  const std::vector<int64_t>& steps,
                  std::optional<int64_t> only_block);

  void update(const report::Progress& progress) { board_.update(progress); }

  /// Leaves the board on the screen.
  void finish() { board_.finish(); }

 private:
  class LogSink;

  report::ProgressBoard board_;
  std::shared_ptr<LogSink> sink_;
};

}  // namespace dblocks::cli
