// SPDX-License-Identifier: Apache-2.0
// The Frechet distances of a run over its training, as `dblocks eval` keeps
// them in image_history.json. The only place that knows this format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "dblocks/report/image_evaluation.h"

namespace dblocks::report {

/// What one evaluation found by one kind of features.
struct HistoryPoint {
  int64_t steps = 0;  ///< that every block had done at least
  std::string name;   ///< as ImageScore::name: other names do not compare
  double frechet_distance = 0;
};

/// By steps, ascending.
using ImageHistory = std::vector<HistoryPoint>;

/// Reads image_history.json; empty if the file is not there. Its content is not
/// trusted. *Errors*: CheckpointError if it is no history.
ImageHistory read_image_history(const std::filesystem::path& file);

/// Takes an evaluation in; what was found before at the same steps under the
/// same name goes. The oldest go beyond 10,000.
void add_evaluation(const ImageEvaluation& evaluation, ImageHistory& history);

std::string image_history_json(const ImageHistory& history);

}  // namespace dblocks::report
