// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace dblocks::config {

/// Number of letters to insert, remove, replace or swap with their neighbour to
/// get from `a` to `b` (optimal string alignment, Damerau 1964).
size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`, the first among equals; "" without any.
std::string nearest(std::string_view word,
                    std::span<const std::string> candidates);

}  // namespace dblocks::config
