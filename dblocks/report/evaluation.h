// SPDX-License-Identifier: Apache-2.0
// What an evaluation found, as `dblocks eval --json` prints it and as a run
// keeps it in eval.json. The only place that knows this format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace dblocks::report {

/// A fact with its name, for instance {"CPU", "..."}.
struct NamedValue {
  std::string name;
  std::string value;
};

/// A bin of a reliability diagram.
struct ReliabilityCount {
  int64_t num_samples = 0;
  int64_t num_hits = 0;
  double sum_confidence = 0;
};

/// Metrics of one set of predictions.
struct Score {
  double accuracy = 0;  ///< a fraction
  double cross_entropy = 0;
  double calibration_error = 0;
  /// Bins of equal width over [0, 1]; may be empty.
  std::vector<ReliabilityCount> reliability = {};
};

/// One readout along the chain.
struct ReadoutScore {
  std::string name;
  bool answers_pooled = false;
  std::vector<Score> after_block;  ///< one per block
  Score pooled;

  const Score& answer() const {
    return answers_pooled ? pooled : after_block.back();
  }
};

/// What the headline readout said of one image at one place of the chain.
struct SamplePrediction {
  std::string predicted;
  double probability = 0;       ///< of the predicted class
  double true_probability = 0;  ///< of the right class
};

/// One test image and what became of it along the chain.
struct Sample {
  int64_t index = 0;        ///< in the test set
  bool is_mistake = false;  ///< picked as a confident mistake
  std::string label;        ///< the right class
  std::string png_base64;
  std::vector<SamplePrediction> after_block;
  SamplePrediction answer;
};

struct Evaluation {
  std::string run;
  std::string method;
  std::string dataset;
  int64_t num_images = 0;
  std::vector<int64_t> steps;  ///< of each block when it was evaluated
  int64_t draws = 0;
  std::string headline;  ///< the readout that the program quotes
  std::vector<ReadoutScore> readouts;
  std::vector<std::string> settings = {};  ///< each --set
  double seconds = 0;
  std::vector<NamedValue> environment = {};
  std::vector<Sample> samples = {};

  /// The readout named by `headline`.
  const ReadoutScore& quoted() const;
};

/// How much of an evaluation is written.
enum class Detail {
  kScores,  ///< what `dblocks eval --json` prints
  kAll,     ///< with reliability bins, samples and environment
};

nlohmann::ordered_json to_json(const Evaluation& evaluation, Detail detail);

/// Reads eval.json; nothing if the file is not there. Its content is not
/// trusted. *Errors*: CheckpointError if it is no evaluation.
std::optional<Evaluation> read_evaluation(const std::filesystem::path& file);

}  // namespace dblocks::report
