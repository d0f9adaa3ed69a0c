// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <ostream>
#include <string>

namespace dblocks::report {

/// What a progress line tells. A field left at its default is not shown.
struct Progress {
  int64_t block = 0;
  int64_t num_blocks = 0;  ///< 0 or 1: blocks are not mentioned
  int64_t step = 0;        ///< steps of this block done
  int64_t steps = 0;       ///< steps of this block in all
  double loss = NAN;
  double accuracy = NAN;  ///< a fraction
  double images_per_second = NAN;
  int64_t memory_bytes = -1;
  double data_wait_share = NAN;  ///< fraction of the time spent on waiting
  double seconds_left = NAN;
};

/// One line of text, for instance
/// `block 1 of 3 | step 120/600 | loss 0.4312 | accuracy 85.1 % |
/// 1234 images/s | 0.82 GiB | data wait 0.3 % | 1:05 left` (without breaks).
std::string format_progress(const Progress& progress);

struct ProgressOptions {
  /// Redraws one line in place; otherwise plain lines are appended.
  bool is_terminal = false;
  /// Longest line on a terminal, in columns; longer ones are cut, because a
  /// wrapped line cannot be redrawn.
  int columns = 80;
  /// Least time between two redrawings, in seconds.
  double redraw_seconds = 0.1;
  /// Least time between two plain lines, in seconds.
  double plain_seconds = 10;
};

/// Shows progress on a stream that the program supplies.
/// *Threads*: one at a time.
class ProgressLine {
 public:
  using Clock = std::chrono::steady_clock;

  /// `out` must outlive this.
  ProgressLine(std::ostream& out, const ProgressOptions& options);

  /// Shows `progress` unless the line before is too recent. The last step of a
  /// block is always shown.
  void update(const Progress& progress, Clock::time_point now = Clock::now());

  /// Wipes a line being redrawn, so that other text can be written; the next
  /// update draws it again. Nothing to do for plain lines.
  void clear();

  /// Ends a line being redrawn, so that it stays on the screen.
  void finish();

 private:
  std::ostream& out_;
  ProgressOptions options_;
  bool is_drawn_ = false;
  bool has_shown_ = false;
  Clock::time_point last_shown_{};
};

}  // namespace dblocks::report
