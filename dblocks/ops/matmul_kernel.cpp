// SPDX-License-Identifier: Apache-2.0
#include "dblocks/ops/matmul_kernel.h"

#include <algorithm>
#include <cstring>

#include "dblocks/core/error.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define DBLOCKS_MATMUL_KERNEL
#include <immintrin.h>
#endif

namespace dblocks::ops::internal {

#ifdef DBLOCKS_MATMUL_KERNEL

#define DBLOCKS_AVX2 [[gnu::target("avx2,fma")]]

namespace {

constexpr int64_t kVector = 8;
static_assert(kTileColumns == 2 * kVector);

/// Rows are far apart, where no CPU guesses which one is next.
constexpr int64_t kPrefetchedRows = 8;
constexpr int64_t kCacheLine = 16;  // elements

/// columns[i] = rows[:, i] of 8 by 8 elements; rows from `count` on are zeros.
DBLOCKS_AVX2 inline void transpose(const float* rows,
                                   int64_t stride,
                                   int64_t count,
                                   __m256* columns) {
  __m256 r[8], pairs[8], fours[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    r[i] = i < count ? _mm256_loadu_ps(rows + i * stride) : _mm256_setzero_ps();
  }
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const __m256 low = pairs[i + half], high = pairs[i + half + 2];
      fours[i + 2 * half] =
          _mm256_shuffle_ps(low, high, _MM_SHUFFLE(1, 0, 1, 0));
      fours[i + 2 * half + 1] =
          _mm256_shuffle_ps(low, high, _MM_SHUFFLE(3, 2, 3, 2));
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    columns[i] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20);
    columns[i + 4] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31);
  }
}

/// Lanes that lie side by side.
template <int64_t kLanes>
DBLOCKS_AVX2 void pack_side_by_side(const float* lanes,
                                    int64_t stride,
                                    int64_t count,
                                    int64_t depth,
                                    float* panels) {
  for (int64_t k = 0; k < depth; ++k, lanes += stride) {
    if (k + kPrefetchedRows < depth) {
      for (int64_t lane = 0; lane < count; lane += kCacheLine) {
        _mm_prefetch(lanes + kPrefetchedRows * stride + lane, _MM_HINT_T0);
      }
    }
    for (int64_t lane = 0; lane < count; lane += kLanes) {
      float* to = panels + lane * depth + k * kLanes;
      if constexpr (kLanes == kTileColumns) {
        _mm256_store_ps(to, _mm256_loadu_ps(lanes + lane));
        _mm256_store_ps(to + kVector, _mm256_loadu_ps(lanes + lane + kVector));
      } else if (k + 1 < depth) {  // two elements too many: the next k's place
        _mm256_storeu_ps(to, _mm256_loadu_ps(lanes + lane));
      } else {
        std::memcpy(to, lanes + lane, kLanes * sizeof(float));
      }
    }
  }
}

/// One panel whose lanes lie `stride` apart, the inner dimension side by side.
/// Returns how much of the depth it has packed.
template <int64_t kLanes>
DBLOCKS_AVX2 int64_t pack_transposed(const float* lanes,
                                     int64_t stride,
                                     int64_t depth,
                                     float* panel) {
  int64_t k = 0;
  // One of the depth is left over, for what a vector writes too many of.
  for (; k + kVector < depth; k += kVector) {
    for (int64_t lane = 0; lane < kLanes; lane += kVector) {
      __m256 columns[8];
      transpose(lanes + lane * stride + k, stride,
                std::min(kVector, kLanes - lane), columns);
      for (int i = 0; i < 8; ++i) {
        _mm256_storeu_ps(panel + (k + i) * kLanes + lane, columns[i]);
      }
    }
  }
  return k;
}

/// Lanes `lane_stride` apart, the inner dimension `depth_stride`.
template <int64_t kLanes>
DBLOCKS_AVX2 void pack(const float* lanes,
                       int64_t lane_stride,
                       int64_t depth_stride,
                       int64_t count,
                       int64_t depth,
                       float* panels) {
  const int64_t whole = count / kLanes * kLanes;
  // A vector may be read past the last lane where another row lies behind it.
  const bool side_by_side = lane_stride == 1 && depth_stride >= kVector;
  if (side_by_side) {
    pack_side_by_side<kLanes>(lanes, depth_stride, whole, depth, panels);
  }
  for (int64_t lane = side_by_side ? whole : 0; lane < count; lane += kLanes) {
    const float* from = lanes + lane * lane_stride;
    float* to = panels + lane * depth;
    const int64_t valid = std::min(kLanes, count - lane);
    int64_t k = 0;
    if (depth_stride == 1 && valid == kLanes) {
      k = pack_transposed<kLanes>(from, lane_stride, depth, to);
    }
    for (; k < depth; ++k) {
      for (int64_t i = 0; i < kLanes; ++i) {
        to[k * kLanes + i] =
            i < valid ? from[i * lane_stride + k * depth_stride] : 0.0f;
      }
    }
  }
}

DBLOCKS_AVX2 inline void multiply_tile(int64_t depth,
                                       const float* a,
                                       const float* b,
                                       SumStart start,
                                       float* c,
                                       int64_t c_stride) {
  // Registers, as long as the compiler unrolls all of these loops early enough
  // to see that no index is a variable: with sums in memory it takes twice as
  // long.
  __m256 sums[kTileRows][2];
#pragma GCC unroll 6
  for (int i = 0; i < kTileRows; ++i) {
    const float* row = start.data + i * start.row_stride;
    sums[i][0] = _mm256_loadu_ps(row);
    sums[i][1] = _mm256_loadu_ps(row + kVector);
  }
  for (int64_t k = 0; k < depth; ++k) {
    const __m256 b0 = _mm256_load_ps(b + k * kTileColumns);
    const __m256 b1 = _mm256_load_ps(b + k * kTileColumns + kVector);
#pragma GCC unroll 6
    for (int i = 0; i < kTileRows; ++i) {
      const __m256 x = _mm256_broadcast_ss(a + k * kTileRows + i);
      sums[i][0] = _mm256_fmadd_ps(x, b0, sums[i][0]);
      sums[i][1] = _mm256_fmadd_ps(x, b1, sums[i][1]);
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < kTileRows; ++i) {
    _mm256_storeu_ps(c + i * c_stride, sums[i][0]);
    _mm256_storeu_ps(c + i * c_stride + kVector, sums[i][1]);
  }
}

/// A tile of which a part only is of c.
DBLOCKS_AVX2 void multiply_edge(int64_t rows,
                                int64_t columns,
                                int64_t depth,
                                const float* a,
                                const float* b,
                                SumStart start,
                                float* c,
                                int64_t c_stride) {
  float tile[kTileRows * kTileColumns] = {};
  const size_t width = static_cast<size_t>(columns) * sizeof(float);
  for (int64_t i = 0; i < rows; ++i) {
    std::memcpy(tile + i * kTileColumns, start.data + i * start.row_stride,
                width);
  }
  multiply_tile(depth, a, b, {tile, kTileColumns}, tile, kTileColumns);
  for (int64_t i = 0; i < rows; ++i) {
    std::memcpy(c + i * c_stride, tile + i * kTileColumns, width);
  }
}

}  // namespace

bool has_matmul_kernel() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

void pack_rows(MatrixView a, int64_t rows, int64_t depth, float* panels) {
  pack<kTileRows>(a.data, a.row_stride, a.column_stride, rows, depth, panels);
}

void pack_columns(MatrixView b, int64_t depth, int64_t columns, float* panels) {
  pack<kTileColumns>(b.data, b.column_stride, b.row_stride, columns, depth,
                     panels);
}

DBLOCKS_AVX2 void multiply_panels(int64_t rows,
                                  int64_t columns,
                                  int64_t depth,
                                  const float* a,
                                  const float* b,
                                  SumStart start,
                                  float* c,
                                  int64_t c_stride) {
  for (int64_t row = 0; row < rows; row += kTileRows) {
    const int64_t height = std::min(kTileRows, rows - row);
    const SumStart from = {start.data + row * start.row_stride,
                           start.row_stride};
    if (height == kTileRows && columns == kTileColumns) {
      multiply_tile(depth, a + row * depth, b, from, c + row * c_stride,
                    c_stride);
    } else {
      multiply_edge(height, columns, depth, a + row * depth, b, from,
                    c + row * c_stride, c_stride);
    }
  }
}

#undef DBLOCKS_AVX2

#else

bool has_matmul_kernel() {
  return false;
}

void pack_rows(MatrixView, int64_t, int64_t, float*) {
  DBLOCKS_ASSERT(has_matmul_kernel(), "no kernel for this CPU");
}

void pack_columns(MatrixView, int64_t, int64_t, float*) {
  DBLOCKS_ASSERT(has_matmul_kernel(), "no kernel for this CPU");
}

void multiply_panels(int64_t,
                     int64_t,
                     int64_t,
                     const float*,
                     const float*,
                     SumStart,
                     float*,
                     int64_t) {
  DBLOCKS_ASSERT(has_matmul_kernel(), "no kernel for this CPU");
}

#endif

}  // namespace dblocks::ops::internal
