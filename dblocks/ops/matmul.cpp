// SPDX-License-Identifier: Apache-2.0
#include "dblocks/ops/matmul.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>

#include "dblocks/ops/matmul_kernel.h"

namespace dblocks::ops::internal {
namespace {

// What is packed at a time, chosen by measurement with caches of 32 KiB,
// 512 KiB and 32 MiB: a panel of b stays in the first, 24 KiB, the rows of a
// in the second, 216 KiB, all of b in the third, 1 MiB.
constexpr int64_t kDepth = 384;
constexpr int64_t kRows = 24 * kTileRows;
constexpr int64_t kMostColumns = 512;
constexpr int64_t kFloatsOfB = int64_t{1} << 18;

MatrixView view_of(const at::Tensor& matrix) {
  return {matrix.const_data_ptr<float>(), matrix.stride(0), matrix.stride(1)};
}

int64_t round_up(int64_t x, int64_t step) {
  return (x + step - 1) / step * step;
}

int64_t round_down(int64_t x, int64_t step) {
  return x / step * step;
}

class PackedFloats {
 public:
  explicit PackedFloats(int64_t count) {
    constexpr size_t kAlignment = 64;
    const size_t bytes = static_cast<size_t>(count) * sizeof(float);
    data_.reset(static_cast<float*>(std::aligned_alloc(kAlignment, bytes)));
    if (data_ == nullptr) {
      throw std::bad_alloc();
    }
  }
  float* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  std::unique_ptr<float, Free> data_;
};

float* rows_of_this_thread() {
  thread_local const PackedFloats rows(kRows * kDepth);
  return rows.data();
}

float* columns_of_this_thread() {
  thread_local const PackedFloats columns(kFloatsOfB);
  return columns.data();
}

/// Hands out rows of a to whoever asks for more, ever fewer of them towards the
/// end: threads are done at the same time, though one may have been held up.
class RowQueue {
 public:
  explicit RowQueue(int64_t m) : m_(m), threads_(at::get_num_threads()) {}

  struct Rows {
    int64_t first, count;
  };

  /// None are left where the count is 0.
  Rows take() {
    int64_t first = next_.load();
    int64_t count = 0;
    do {
      count = count_from(first);
    } while (!next_.compare_exchange_weak(first, first + count));
    return {first, count};
  }

 private:
  int64_t count_from(int64_t first) const {
    constexpr int64_t kFewRows = 4 * kTileRows;
    const int64_t left = m_ - first;
    if (threads_ == 1) {
      return std::min(left, kRows);
    }
    const int64_t share = round_up(left / (2 * threads_), kTileRows);
    return std::min(left, std::clamp(share, kFewRows, kRows));
  }

  int64_t m_;
  int64_t threads_;
  std::atomic<int64_t> next_ = 0;
};

/// A part of b, as much as is packed at a time.
struct Part {
  int64_t first_row, rows;
  int64_t first_column, columns;

  int64_t num_panels() const {
    return round_up(columns, kTileColumns) / kTileColumns;
  }
};

/// The largest part there is of b. A multiple of kDepth of its rows, so that
/// sums are cut at the same places whatever n is.
Part largest_part(int64_t k, int64_t n) {
  static_assert(kMostColumns * kDepth <= kFloatsOfB);
  const int64_t columns = std::min(kMostColumns, round_up(n, kTileColumns));
  const int64_t rows = round_down(kFloatsOfB / columns, kDepth);
  if (k > rows) {
    return {
        .first_row = 0, .rows = rows, .first_column = 0, .columns = columns};
  }
  return {
      .first_row = 0,
      .rows = k,
      .first_column = 0,
      .columns = std::max(columns, round_down(kFloatsOfB / k, kTileColumns))};
}

class Product {
 public:
  Product(int64_t n, MatrixView a, MatrixView b, const float* bias, float* c)
      : n_(n),
        a_(a),
        b_(b),
        bias_(bias),
        c_(c),
        packed_(columns_of_this_thread()) {}

  /// Packs some panels of the part of b.
  void pack_panels(const Part& part, int64_t begin, int64_t end) const {
    for_each_slice(part, [&](const Slice& slice) {
      for (int64_t i = begin; i < end; ++i) {
        const Panel panel = panel_of(part, slice, i);
        pack_columns(b_.from(slice.first, panel.first_column), slice.depth,
                     panel.columns, panel.data);
      }
    });
  }

  /// Adds to rows of c what comes of the part of b, which is packed.
  void multiply_rows(const Part& part, int64_t first_row, int64_t rows) const {
    static constexpr float kZeros[kTileColumns] = {};
    float* const packed_rows = rows_of_this_thread();
    for_each_slice(part, [&](const Slice& slice) {
      pack_rows(a_.from(first_row, slice.first), rows, slice.depth,
                packed_rows);
      for (int64_t i = 0; i < part.num_panels(); ++i) {
        const Panel panel = panel_of(part, slice, i);
        float* const c = c_ + first_row * n_ + panel.first_column;
        SumStart start = {c, n_};
        if (slice.first == 0) {
          start = {bias_ != nullptr ? bias_ + panel.first_column : kZeros, 0};
        }
        multiply_panels(rows, panel.columns, slice.depth, packed_rows,
                        panel.data, start, c, n_);
      }
    });
  }

 private:
  /// Of the inner dimension.
  struct Slice {
    int64_t first, depth;
  };
  struct Panel {
    int64_t first_column, columns;
    float* data;
  };

  template <class Function>
  static void for_each_slice(const Part& part, const Function& function) {
    for (int64_t done = 0; done < part.rows; done += kDepth) {
      function(
          Slice{part.first_row + done, std::min(kDepth, part.rows - done)});
    }
  }

  Panel panel_of(const Part& part, const Slice& slice, int64_t i) const {
    const int64_t before =
        (slice.first - part.first_row) * part.num_panels() + i * slice.depth;
    return {part.first_column + i * kTileColumns,
            std::min(kTileColumns, part.columns - i * kTileColumns),
            packed_ + before * kTileColumns};
  }

  int64_t n_;
  MatrixView a_, b_;
  const float* bias_;
  float* c_;
  float* packed_;  ///< the present part of b: slice by slice all its panels
};

}  // namespace

void matmul(const at::Tensor& a,
            const at::Tensor& b,
            const at::Tensor& bias,
            const at::Tensor& c) {
  const int64_t m = a.size(0), n = b.size(1), k = a.size(1);
  const Product product(n, view_of(a), view_of(b),
                        bias.defined() ? bias.const_data_ptr<float>() : nullptr,
                        c.mutable_data_ptr<float>());
  const Part largest = largest_part(k, n);
  for (int64_t column = 0; column < n; column += largest.columns) {
    for (int64_t row = 0; row < k; row += largest.rows) {
      const Part part = {.first_row = row,
                         .rows = std::min(largest.rows, k - row),
                         .first_column = column,
                         .columns = std::min(largest.columns, n - column)};
      at::parallel_for(0, part.num_panels(), 1,
                       [&](int64_t begin, int64_t end) {
                         product.pack_panels(part, begin, end);
                       });
      RowQueue queue(m);
      at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) {
        for (auto rows = queue.take(); rows.count > 0; rows = queue.take()) {
          product.multiply_rows(part, rows.first, rows.count);
        }
      });
    }
  }
}

}  // namespace dblocks::ops::internal
