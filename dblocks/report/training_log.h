// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace dblocks::report {

/// One entry of a log.jsonl. NaN where the log has no number.
struct LogPoint {
  int64_t step = 0;
  double loss = NAN;
  double accuracy = NAN;  ///< of the training batches, a fraction
};

/// What a log says, short enough for a page.
struct TrainingLog {
  int64_t num_rows = 0;
  /// Lines passed over: no JSON object, too long, or a step that does not rise.
  int64_t num_damaged = 0;
  int64_t last_step = 0;
  int64_t steps = 0;  ///< of the block in all, as last logged
  int64_t peak_tensor_bytes = 0;
  /// As last logged; 0 if unknown.
  double images_per_second = 0;
  std::vector<LogPoint> points;  ///< thinned()
  std::vector<LogPoint> trend;   ///< averaged()
};

/// Thins `points` to at most `max_points` (at least 4), keeping the first, the
/// last, and the least and the greatest loss of every stretch between.
std::vector<LogPoint> thinned(const std::vector<LogPoint>& points,
                              size_t max_points);

/// At most `max_points` (at least 1) stretches of equally many points, each by
/// its last step and its mean loss and accuracy. NaN is left out of means.
std::vector<LogPoint> averaged(const std::vector<LogPoint>& points,
                               size_t max_points);

/// Reads a log and thins its points. A missing file is an empty log; damaged
/// lines are counted. A run may be writing it meanwhile: half a line at the end
/// is not damage. *Errors*: CheckpointError if the file cannot be read.
TrainingLog read_training_log(const std::filesystem::path& file,
                              size_t max_points);

}  // namespace dblocks::report
