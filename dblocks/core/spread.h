// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace dblocks {

/// Repeated measurements of one quantity.
struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
  int64_t runs = 0;

  /// What `amount` done in each of these times, in seconds, is per second.
  Spread rate_of(double amount) const {
    return {amount / median, amount / max, amount / min, runs};
  }
};

/// Of an even number of values the median is the upper of the two in the
/// middle. Requires: at least one value.
inline Spread spread_of(std::vector<double> values) {
  std::ranges::sort(values);
  return {values[values.size() / 2], values.front(), values.back(),
          static_cast<int64_t>(values.size())};
}

}  // namespace dblocks
