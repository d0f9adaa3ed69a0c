// SPDX-License-Identifier: Apache-2.0
// A table of runs that differ in a few keys: figures by variant, with mean and
// spread over seeds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dblocks/report/compare_page.h"

namespace dblocks::report {

/// The figures of one run, in the order of SweepResults::figures; NaN where one
/// is not known.
struct SweepRun {
  std::string run;
  int64_t seed = 0;
  std::vector<double> figures;
};

struct SweptVariant {
  std::string name;
  std::vector<SweepRun> runs;

  /// Over the runs, of one figure.
  Spread spread(size_t figure) const;
};

struct SweepResults {
  std::string recipe;
  std::vector<std::string> figures;  ///< their names
  std::vector<SweptVariant> variants;
};

/// A line for each run.
std::string sweep_csv(const SweepResults& results);

/// A line for each variant: mean and deviation over its seeds.
std::string sweep_markdown(const SweepResults& results);

/// The whole page, as self-contained as that of a run.
std::string sweep_page_html(const SweepResults& results);

}  // namespace dblocks::report
