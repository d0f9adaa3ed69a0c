// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/suggest.h"

#include <algorithm>
#include <vector>

namespace dblocks::config {

size_t edit_distance(std::string_view a, std::string_view b) {
  // Three rows of the usual table: two back, the one before, the present one.
  std::vector<size_t> older(b.size() + 1);
  std::vector<size_t> old(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) {
    old[j] = j;
  }
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = old[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = std::min({old[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], older[j - 2] + 1);
      }
    }
    older.swap(old);
    old.swap(row);
  }
  return old[b.size()];
}

std::string nearest(std::string_view word,
                    std::span<const std::string> candidates) {
  std::string best;
  size_t best_distance = static_cast<size_t>(-1);
  // Nothing that people mistype is long; the cost grows with the length.
  word = word.substr(0, 100);
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace dblocks::config
