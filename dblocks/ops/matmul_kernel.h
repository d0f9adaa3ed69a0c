// SPDX-License-Identifier: Apache-2.0
// The parts of a matrix product c = a b in float32 that see single elements;
// ops/matmul.cpp puts them together. Operands are copied into panels, in the
// order in which the innermost loop reads them, as of K. Goto and R. van de
// Geijn, Anatomy of High-Performance Matrix Multiplication, 2008.
#pragma once

#include <cstdint>

namespace dblocks::ops::internal {

/// A matrix that is somewhere in memory; strides in elements.
struct MatrixView {
  const float* data;
  int64_t row_stride;
  int64_t column_stride;

  MatrixView from(int64_t row, int64_t column) const {
    return {data + row * row_stride + column * column_stride, row_stride,
            column_stride};
  }
};

/// A tile of c is what the registers hold: 12 of the 16 are sums.
inline constexpr int64_t kTileRows = 6;
inline constexpr int64_t kTileColumns = 16;

/// Whether this CPU has what the functions below are made of, AVX2 and fused
/// multiply-adds.
bool has_matmul_kernel();

/// Copies rows of a, or columns of b, into panels of kTileRows rows or of
/// kTileColumns columns, one after the other; a panel holds its lanes of one
/// place of the inner dimension side by side: [panel, depth, lane]. The last
/// panel is filled up with zeros.
/// *Requires*: has_matmul_kernel(); `panels` holds whole panels, and those of
/// b start at a multiple of 32 bytes.
void pack_rows(MatrixView a, int64_t rows, int64_t depth, float* panels);
void pack_columns(MatrixView b, int64_t depth, int64_t columns, float* panels);

/// What a sum starts from: row i at data + i * row_stride.
struct SumStart {
  const float* data;
  int64_t row_stride;
};

/// c = start + a b for the panels of some rows of a and one panel of b.
/// *Shapes*: a: [rows, depth] packed; b: [depth, columns] packed, columns at
/// most kTileColumns; c: [rows, columns], its rows c_stride apart.
void multiply_panels(int64_t rows,
                     int64_t columns,
                     int64_t depth,
                     const float* a,
                     const float* b,
                     SumStart start,
                     float* c,
                     int64_t c_stride);

}  // namespace dblocks::ops::internal
