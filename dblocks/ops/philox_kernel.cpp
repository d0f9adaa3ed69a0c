// SPDX-License-Identifier: Apache-2.0
// By hand, for the compilers in use make slow vectors of these loops or none:
// the generator multiplies 32 by 32 bits into 64, which is one instruction for
// 64-bit lanes that takes no notice of their high halves, so that nothing
// clears them.
#include "dblocks/ops/philox_kernel.h"

#include <array>

#include "dblocks/core/philox.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define DBLOCKS_PHILOX_VECTORS
#include <immintrin.h>
#endif

namespace dblocks::ops::internal {
namespace {

#ifdef DBLOCKS_PHILOX_VECTORS

[[gnu::target("avx2")]] void philox_words_avx2(uint64_t key,
                                               int64_t group,
                                               uint32_t* words) {
  constexpr int kVectors = 2;  // of 4 lanes; more do not fit the registers
  const __m256i m0 = _mm256_set1_epi64x(kPhiloxMultiplier0);
  const __m256i m1 = _mm256_set1_epi64x(kPhiloxMultiplier1);
  for (int half = 0; half < kPhiloxLanes / (4 * kVectors); ++half) {
    __m256i c0[kVectors], c1[kVectors], c2[kVectors], c3[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      const int64_t first = group * kPhiloxLanes + 4 * (kVectors * half + v);
      c0[v] = _mm256_add_epi64(_mm256_set1_epi64x(first),
                               _mm256_setr_epi64x(0, 1, 2, 3));
      c1[v] = _mm256_srli_epi64(c0[v], 32);
      c2[v] = c3[v] = _mm256_setzero_si256();
    }
    auto k0 = static_cast<uint32_t>(key);
    auto k1 = static_cast<uint32_t>(key >> 32);
    for (int round = 0; round < kPhiloxRounds; ++round) {
      const __m256i key0 = _mm256_set1_epi64x(k0);
      const __m256i key1 = _mm256_set1_epi64x(k1);
      for (int v = 0; v < kVectors; ++v) {
        const __m256i p0 = _mm256_mul_epu32(c0[v], m0);
        const __m256i p1 = _mm256_mul_epu32(c2[v], m1);
        c0[v] = _mm256_xor_si256(_mm256_srli_epi64(p1, 32),
                                 _mm256_xor_si256(c1[v], key0));
        c2[v] = _mm256_xor_si256(_mm256_srli_epi64(p0, 32),
                                 _mm256_xor_si256(c3[v], key1));
        c1[v] = p1;
        c3[v] = p0;
      }
      k0 += kPhiloxWeyl0;
      k1 += kPhiloxWeyl1;
    }
    const auto store_low = [&](int word, const __m256i* c)
        __attribute__((target("avx2"), always_inline)) {
      const __m256 low =
          _mm256_shuffle_ps(_mm256_castsi256_ps(c[0]),
                            _mm256_castsi256_ps(c[1]), _MM_SHUFFLE(2, 0, 2, 0));
      _mm256_storeu_si256(
          reinterpret_cast<__m256i*>(words + word * kPhiloxLanes + 8 * half),
          _mm256_permute4x64_epi64(_mm256_castps_si256(low),
                                   _MM_SHUFFLE(3, 1, 2, 0)));
    };
    store_low(0, c0);
    store_low(1, c1);
    store_low(2, c2);
    store_low(3, c3);
  }
}

#endif

using Words = void(uint64_t, int64_t, uint32_t*);

Words* best_words() {
#ifdef DBLOCKS_PHILOX_VECTORS
  if (__builtin_cpu_supports("avx2")) {
    return philox_words_avx2;
  }
#endif
  return philox_words_plain;
}

}  // namespace

void philox_words(uint64_t key, int64_t group, uint32_t* words) {
  static Words* const best = best_words();
  best(key, group, words);
}

void philox_words_plain(uint64_t key, int64_t group, uint32_t* words) {
  for (int lane = 0; lane < kPhiloxLanes; ++lane) {
    const uint64_t counter = static_cast<uint64_t>(group) * kPhiloxLanes + lane;
    const std::array<uint32_t, 4> c = philox(
        {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32)},
        {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)});
    for (int word = 0; word < 4; ++word) {
      words[word * kPhiloxLanes + lane] = c[word];
    }
  }
}

}  // namespace dblocks::ops::internal
