// SPDX-License-Identifier: Apache-2.0
// The fixed steps that `dblocks bench` takes. All have the form of the
// published code (label token in the class token's place, outer parts shared,
// SiLU after the modulation), which the PyTorch peers share; they differ in
// shape.
#pragma once

#include <string>
#include <vector>

#include "dblocks/train/run_setup.h"

namespace dblocks::cli {

struct BenchShape {
  std::string name;
  std::string title;
  train::RunSetup setup;  ///< in fp32
};

/// Names of all shapes; `tiny`, which is for rehearsals, comes last.
std::vector<std::string> bench_shape_names();

/// Requires: a name of bench_shape_names(). On a GPU some batches are larger;
/// a quick run takes a quarter of the batch.
BenchShape bench_shape(const std::string& name, bool on_cpu, bool is_quick);

}  // namespace dblocks::cli
