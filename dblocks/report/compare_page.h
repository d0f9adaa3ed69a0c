// SPDX-License-Identifier: Apache-2.0
// Several runs side by side: runs that differ in nothing but the seed form a
// group with mean and spread.
#pragma once

#include <cmath>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace dblocks::report {

/// The figures of one run. NaN where a figure is not known.
struct ComparedRun {
  std::string folder;
  std::string name;
  std::string method;
  /// Equal for runs of one recipe, whatever their seed.
  std::string group;
  int64_t seed = 0;
  int64_t num_blocks = 0;
  int64_t steps = 0;        ///< of all blocks together, done
  int64_t steps_asked = 0;  ///< of all blocks together
  double accuracy = NAN;    ///< of the readout that is quoted, a fraction
  double cross_entropy = NAN;
  double calibration_error = NAN;
  double step_peak_bytes = NAN;      ///< of a step, as dblocks memory measured
  double training_peak_bytes = NAN;  ///< as training logged
  double seconds = NAN;              ///< of training
  /// What is missing and the command for it; empty if nothing is.
  std::string missing;
};

/// Mean and standard deviation (n - 1 in the denominator) of what is known.
struct Spread {
  int64_t count = 0;
  double mean = NAN;
  double deviation = NAN;  ///< NaN unless there are two or more
};
Spread spread_of(const std::vector<double>& values);

/// Runs of one recipe.
struct RunGroup {
  std::string name;
  std::vector<size_t> runs;  ///< indices into the list compared
  Spread accuracy, cross_entropy, calibration_error;
  Spread step_peak_bytes, training_peak_bytes, seconds, steps;
};

/// Groups in the order of their first runs.
std::vector<RunGroup> grouped(const std::vector<ComparedRun>& runs);

/// What `dblocks compare --json` prints; null where a figure is not known.
nlohmann::ordered_json comparison_json(const std::vector<ComparedRun>& runs);

/// The whole page, as self-contained as that of a run.
std::string compare_page_html(const std::vector<ComparedRun>& runs);

}  // namespace dblocks::report
