// SPDX-License-Identifier: Apache-2.0
// The page that shows a run: one file of HTML that holds its data, styles and
// script, asks no address for anything and adapts to light, dark and phones.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dblocks/report/evaluation.h"
#include "dblocks/report/image_evaluation.h"
#include "dblocks/report/image_history.h"
#include "dblocks/report/training_log.h"

namespace dblocks::report {

/// The noise density over ln sigma and the intervals cut from it.
struct PartitionChart {
  struct Block {
    double low = 0, high = 0;                    ///< what the block owns
    double training_low = 0, training_high = 0;  ///< widened by the overlap
    double mass = 0;  ///< probability of what it owns
  };
  std::vector<double> log_sigma;  ///< ascending, natural logarithm
  std::vector<double> density;    ///< of ln sigma, at log_sigma
  std::vector<Block> blocks;      ///< block 0, of most noise, first
};

/// Memory of a step of each unit, as `dblocks memory --json` prints it.
struct MemoryRecord {
  struct Unit {
    int64_t block = 0;
    int64_t num_layers = 0;
    int64_t num_parameters = 0;
    int64_t state_bytes = 0;
    int64_t peak_bytes = 0;
  };
  int64_t batch_size = 0;
  std::vector<Unit> blocks;
  std::vector<Unit> end_to_end;
  int64_t peak_bytes = 0;             ///< the greatest of blocks
  int64_t end_to_end_peak_bytes = 0;  ///< the greatest of end_to_end
};

/// Reads memory.json; nothing if the file is not there. *Errors*:
/// CheckpointError if it is no such record.
std::optional<MemoryRecord> read_memory_record(
    const std::filesystem::path& file);

/// One key of the recipe.
struct RecipeRow {
  std::string key;
  std::string value;
  std::string unit;
  std::string origin;
  std::string meaning;
};

/// Where one block stands.
struct BlockState {
  int64_t first_layer = 0;
  int64_t end_layer = 0;
  int64_t checkpoint_step = 0;  ///< of its newest checkpoint; 0 = none
  TrainingLog log;
};

/// Images drawn while the run trained.
struct Preview {
  int64_t steps = 0;       ///< that every block had done at least
  std::string png_base64;  ///< a PNG file
};

struct RunPage {
  std::string name;
  std::string folder;
  std::string method;
  std::string dataset;
  int64_t seed = 0;
  int64_t steps = 0;  ///< that each block is to take
  int64_t batch_size = 0;
  std::string version;
  std::vector<BlockState> blocks;
  std::optional<PartitionChart> partition;
  bool generates_images = false;  ///< else it classifies
  std::optional<Evaluation> evaluation;
  std::optional<ImageEvaluation> images;
  ImageHistory image_history;
  std::vector<Preview> previews;  ///< by steps, ascending
  std::optional<MemoryRecord> memory;
  std::vector<RecipeRow> recipe;
  std::vector<NamedValue> training_environment;
  /// What could not be read, in words.
  std::vector<std::string> problems;

  /// Steps that block `block` has behind it, from its log and checkpoints.
  int64_t steps_done(size_t block) const;
  /// Whether the evaluation is of an earlier state than the run is in now.
  bool is_evaluation_old() const;
  /// Greatest peak of tensor bytes that training logged; 0 = unknown.
  int64_t logged_peak_bytes() const;
  /// Time that the logged steps took, from the logged rates; 0 = unknown.
  double training_seconds() const;
};

/// The whole page. Text from the run is data in it, never markup.
std::string run_page_html(const RunPage& page);

}  // namespace dblocks::report
