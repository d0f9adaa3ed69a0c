// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

namespace dblocks::report {

/// How the values of a tensor are spread. Bucket i counts values from limit
/// i - 1 (for the first: min) up to limit i.
struct Histogram {
  double min = 0;
  double max = 0;
  double count = 0;
  double sum = 0;
  double sum_squares = 0;
  std::vector<double> limits;  ///< upper ends, rising; the last is max
  std::vector<double> counts;
};

/// Counts `values` into 64 buckets of equal width between the smallest and the
/// largest; into one where all are equal. Values that are not finite are left
/// out. Without any the result has no bucket.
Histogram make_histogram(std::span<const float> values);

}  // namespace dblocks::report
