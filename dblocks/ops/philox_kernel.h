// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace dblocks::ops::internal {

inline constexpr int kPhiloxLanes = 16;
inline constexpr int kPhiloxWords = 4 * kPhiloxLanes;

/// words[16 w + l]: word w of Philox4x32-10 with `key` at counter
/// 16 `group` + l, for w < 4, l < 16. In vectors where the CPU has AVX2;
/// the words are the same everywhere.
/// *Source*: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
void philox_words(uint64_t key, int64_t group, uint32_t* words);

/// The readable twin.
void philox_words_plain(uint64_t key, int64_t group, uint32_t* words);

}  // namespace dblocks::ops::internal
