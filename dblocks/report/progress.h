// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <mutex>
#include <ostream>
#include <string>
#include <vector>

namespace dblocks::report {

/// What a step tells of its block and of the whole run. A field left at its
/// default is not shown.
struct Progress {
  int64_t block = 0;
  int64_t num_blocks = 0;  ///< 0 or 1: blocks are not mentioned
  int64_t step = 0;        ///< steps of this block done
  int64_t steps = 0;       ///< steps of this block in all
  double loss = NAN;
  double accuracy = NAN;  ///< a fraction
  /// Means over the steps up to the block's newest line of log.jsonl.
  double logged_loss = NAN;
  double logged_accuracy = NAN;
  double images_per_second = NAN;
  int64_t memory_bytes = -1;
  double data_wait_share = NAN;  ///< fraction of the time spent on waiting
  /// Of moving blocks between memory and disk, the fraction that no step waited
  /// for.
  double paging_hidden_share = NAN;
  double seconds_left = NAN;  ///< until the last block is done
};

/// One line of text, for instance
/// `block 1 of 3 | step 120/600 | loss 0.4312 | accuracy 85.1 % |
/// 1234 images/s | 0.82 GiB | data wait 0.3 % | 1:05 left` (without breaks).
std::string format_progress(const Progress& progress);

/// Where a block stands.
struct BlockProgress {
  int64_t block = 0;
  int64_t step = 0;
  int64_t steps = 0;
  double loss = NAN;
  double accuracy = NAN;  ///< a fraction
};

/// One line per block, columns aligned, then one for the whole run, each
/// shorter than `columns`:
///
///   block 0  done      600/600  [##########]  loss 0.4312  accuracy 85.1 %
///   block 1  training  270/600  [####......]  loss 0.5120  accuracy 81.0 %
///   block 2  waiting     0/600  [..........]
///   870/1800 steps | 1234 images/s | 0.82 GiB | data wait 0.3 % | 1:05 left
///
/// `last` is the newest step; its block is the one in training. On a narrow
/// terminal the bar goes first, then the counts and the accuracy.
std::vector<std::string> format_board(const std::vector<BlockProgress>& blocks,
                                      const Progress& last,
                                      int columns);

struct TerminalSize {
  int columns = 80;
  int rows = 24;
};

struct ProgressOptions {
  /// Redraws a board of lines in place; otherwise plain lines are appended.
  bool is_terminal = false;
  /// Asked before every drawing, so that the board follows a window that is
  /// made wider or narrower. None: 80 x 24.
  std::function<TerminalSize()> size;
  /// Least time between two redrawings, in seconds.
  double redraw_seconds = 0.1;
  /// Least time between two plain lines, in seconds.
  double plain_seconds = 10;
};

/// Shows progress on a stream that the program supplies.
/// *Threads*: write_between() from any; the rest from one at a time.
class ProgressBoard {
 public:
  using Clock = std::chrono::steady_clock;

  /// `out` must outlive this.
  ProgressBoard(std::ostream& out, const ProgressOptions& options);
  /// Leaves the screen as finish() does.
  ~ProgressBoard();

  /// Names the blocks of a board, in its order, and where they stand before the
  /// first step. Without this a block appears with its first step.
  void set_blocks(std::vector<BlockProgress> blocks);

  /// Shows `progress` unless something was shown too recently. The last step of
  /// a block is always shown.
  void update(const Progress& progress, Clock::time_point now = Clock::now());

  /// Calls `write`, which may print lines to the same terminal; they stay above
  /// the board.
  void write_between(const std::function<void()>& write);

  /// Ends a board being redrawn, so that it stays on the screen.
  void finish();

 private:
  BlockProgress& block_of(const Progress& progress);
  void draw();
  std::string wipe(int columns) const;

  std::ostream& out_;
  ProgressOptions options_;
  std::mutex mutex_;
  std::vector<BlockProgress> blocks_;
  Progress last_;
  std::vector<std::string> drawn_;  // on the screen now; empty: nothing is
  bool has_shown_ = false;
  Clock::time_point last_shown_{};
};

}  // namespace dblocks::report
