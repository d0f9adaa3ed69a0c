// SPDX-License-Identifier: Apache-2.0
// What an evaluation of generated images found, as `dblocks eval --json` prints
// it and as a run keeps it in image_eval.json. The only place that knows this
// format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "dblocks/report/evaluation.h"

namespace dblocks::report {

/// Drawn images against real ones by one kind of features.
struct ImageScore {
  std::string name;  ///< everything that changes the numbers, in words
  double frechet_distance = 0;
  /// Fractions; nothing where only statistics of the real images are known.
  std::optional<double> precision, recall;
  int64_t neighbours = 0;
  int64_t num_neighbour_images = 0;
};

/// The loss of a run at one level of noise.
struct NoisePoint {
  double sigma = 0;
  int64_t block = 0;  ///< that owns sigma
  double loss = 0;
};

/// The loss of a run, by level of noise, on test images.
struct NoiseCurve {
  std::string run;
  std::string method;
  std::vector<NoisePoint> points;  ///< sigma ascending
};

struct ImageEvaluation {
  std::string run;
  std::string method;
  std::string dataset;
  std::vector<int64_t> steps;  ///< of each block when it was evaluated
  int64_t num_images = 0;
  int64_t sampling_steps = 0;
  double guidance = 1;
  int64_t seed = 0;
  double sampling_seconds = 0;
  std::vector<ImageScore> scores;  ///< at least one
  /// Share of images that a classifier puts into the class asked for.
  std::optional<double> asked_class_share;
  /// Of each block on its own interval, on test images.
  std::vector<double> block_loss;
  /// Of this run, and of the one that it was held against if there was one.
  std::vector<NoiseCurve> noise_curves;
  /// Drawn images, a row for each class, as a PNG file; may be empty.
  std::string grid_png_base64;
  /// One drawn image of each class above the training image that is nearest to
  /// it, as a PNG file; may be empty.
  std::string nearest_png_base64;
};

nlohmann::ordered_json to_json(const ImageScore& score);

/// The pictures are left out with Detail::kScores.
nlohmann::ordered_json to_json(const ImageEvaluation& evaluation,
                               Detail detail);

/// Reads image_eval.json; nothing if the file is not there. Its content is not
/// trusted. *Errors*: CheckpointError if it is no such evaluation.
std::optional<ImageEvaluation> read_image_evaluation(
    const std::filesystem::path& file);

}  // namespace dblocks::report
