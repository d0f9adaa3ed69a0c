// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "dblocks/config/field_list.h"

namespace dblocks::config {

/// The values that a numeric key may take; for a list, each of its entries.
struct Range {
  std::string_view key;
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_is_open = false;   ///< whether `low` itself is excluded
  bool high_is_open = false;  ///< whether `high` itself is excluded

  bool contains(double value) const;
};

/// The ranges of all numeric keys. NaN and infinity are in none.
std::span<const Range> ranges();

/// The range of `key`; null for keys that are not numeric.
const Range* find_range(std::string_view key);

/// A range in words, for instance "at least 1", "in [0, 1)".
std::string describe(const Range& range);

/// Errors: ConfigError naming the first key whose value is out of its range.
void check_ranges(const FieldList& list);

}  // namespace dblocks::config
