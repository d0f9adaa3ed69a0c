// SPDX-License-Identifier: Apache-2.0
// A table of runs that differ in a few keys: what `dblocks sweep` works off.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace dblocks::config {

/// One row: a name and the keys that make it differ, each "a.b=c".
struct SweepVariant {
  std::string name;  ///< letters, digits, `_`, `-`: a folder's name
  std::vector<std::string> overrides;
};

struct SweepTable {
  std::filesystem::path recipe;  ///< relative to the table's folder
  std::vector<int64_t> seeds = {0};
  std::vector<std::string> overrides;   ///< of every run
  std::vector<std::string> evaluation;  ///< of every evaluation
  std::vector<SweepVariant> variants;   ///< in the order of the file
};

/// Reads a table such as
///
///   recipe = "fashion_mnist_dit.toml"
///   seeds = [0, 1]
///   set = "train.steps=500 optim.warmup_steps=50"
///   evaluate = "evaluation.samples=5000"
///
///   [variants]
///   equal_probability = ""
///   log_uniform = "partition.kind=log_uniform"
///
/// Overrides are separated by spaces. *Errors*: ConfigError naming the file and
/// the line for anything else.
SweepTable load_sweep_table(const std::filesystem::path& path);

}  // namespace dblocks::config
