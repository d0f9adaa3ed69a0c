// SPDX-License-Identifier: Apache-2.0
// No LibTorch here: plain loops that the compiler turns into vectors, compiled
// once for each instruction set.
#include "dblocks/ops/residual_kernel.h"

#include <algorithm>
#include <cmath>

#include "dblocks/ops/bf16_bits.h"
#include "dblocks/ops/kernel_clones.h"

namespace dblocks::ops::internal {
namespace {

// Sums run in this many lanes, which are added up at the end: the compiler may
// not reorder a sum by itself, and so the order is the same for every width of
// vectors. Statistics are in double, and each result is rounded once: these
// loops wait for memory anyway.
constexpr int64_t kLanes = 16;

struct Lanes {
  double sum[kLanes] = {};

  [[gnu::always_inline]] double total() const {
    double result = 0;
    for (const double lane : sum) {
      result += lane;
    }
    return result;
  }
};

/// Sum over i of term(i).
template <class Term>
[[gnu::always_inline]] inline double sum_in_lanes(int64_t count,
                                                  const Term& term) {
  Lanes lanes;
  const int64_t whole = count / kLanes * kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      lanes.sum[lane] += term(i + lane);
    }
  }
  for (int64_t i = whole; i < count; ++i) {
    lanes.sum[i - whole] += term(i);
  }
  return lanes.total();
}

template <class Element>
[[gnu::always_inline]] inline void gate_forward(
    Rows shape,
    const float* __restrict h,
    const Element* __restrict branch,
    const float* __restrict gate,
    float* __restrict out) {
  for (int64_t row = 0; row < shape.rows; ++row) {
    for (int64_t i = 0; i < shape.width; ++i) {
      const int64_t at = row * shape.width + i;
      out[at] = h[at] + gate[i] * widen(branch[at]);
    }
  }
}

template <class Element>
[[gnu::always_inline]] inline void gate_backward(
    Rows shape,
    const float* __restrict dy,
    const Element* __restrict branch,
    const float* __restrict gate,
    Element* __restrict dbranch,
    float* __restrict dgate) {
  std::fill_n(dgate, shape.width, 0.0f);
  for (int64_t row = 0; row < shape.rows; ++row) {
    for (int64_t i = 0; i < shape.width; ++i) {
      const int64_t at = row * shape.width + i;
      dgate[i] += dy[at] * widen(branch[at]);
      narrow(dy[at] * gate[i], dbranch[at]);
    }
  }
}

}  // namespace

DBLOCKS_KERNEL_CLONES
void norm_rows(Rows shape,
               const float* __restrict x,
               const NormParameters& parameters,
               float eps,
               float* __restrict y,
               float* __restrict mean,
               float* __restrict rstd) {
  const auto width = static_cast<double>(shape.width);
  const float *weight = parameters.weight, *bias = parameters.bias;
  const float *shift = parameters.shift, *scale = parameters.scale;
  for (int64_t row = 0; row < shape.rows; ++row) {
    const float* in = x + row * shape.width;
    float* __restrict out = y + row * shape.width;
    const double m =
        sum_in_lanes(shape.width, [&](int64_t i) { return in[i]; }) / width;
    const float variance =
        sum_in_lanes(shape.width,
                     [&](int64_t i) { return (in[i] - m) * (in[i] - m); }) /
        width;
    const double r = 1 / std::sqrt(variance + eps);
    for (int64_t i = 0; i < shape.width; ++i) {
      out[i] = (in[i] - m) * r * weight[i] + bias[i];
    }
    if (scale != nullptr) {
      for (int64_t i = 0; i < shape.width; ++i) {
        out[i] = out[i] * (1 + scale[i]) + shift[i];
      }
    }
    mean[row] = m;
    rstd[row] = r;
  }
}

DBLOCKS_KERNEL_CLONES
void norm_rows_backward(Rows shape,
                        const float* __restrict dy,
                        const float* __restrict x,
                        const NormParameters& parameters,
                        const float* __restrict mean,
                        const float* __restrict rstd,
                        float* __restrict dx,
                        float* __restrict sum_dy,
                        float* __restrict sum_dy_normal) {
  const auto width = static_cast<double>(shape.width);
  std::fill_n(sum_dy, shape.width, 0.0f);
  std::fill_n(sum_dy_normal, shape.width, 0.0f);
  for (int64_t row = 0; row < shape.rows; ++row) {
    const float* d = dy + row * shape.width;
    const float* in = x + row * shape.width;
    float* __restrict g = dx + row * shape.width;
    const float m = mean[row], r = rstd[row];
    // With g the gradient of the normalised row n:
    // dx = r * (g - mean(g) - n * mean(g n)).
    for (int64_t i = 0; i < shape.width; ++i) {
      g[i] = d[i] * parameters.weight[i];
    }
    if (parameters.scale != nullptr) {
      for (int64_t i = 0; i < shape.width; ++i) {
        g[i] *= 1 + parameters.scale[i];
      }
    }
    const double mean_g =
        sum_in_lanes(shape.width, [&](int64_t i) { return g[i]; }) / width;
    const float mean_gn =
        sum_in_lanes(shape.width,
                     [&](int64_t i) { return g[i] * ((in[i] - m) * r); }) /
        width;
    for (int64_t i = 0; i < shape.width; ++i) {
      const float normal = (in[i] - m) * r;
      g[i] = r * (g[i] - mean_g - normal * mean_gn);
      sum_dy[i] += d[i];
      sum_dy_normal[i] += d[i] * normal;
    }
  }
}

DBLOCKS_KERNEL_CLONES
void gate_rows(Rows shape,
               const float* __restrict h,
               const float* __restrict branch,
               const float* __restrict gate,
               float* __restrict out) {
  gate_forward(shape, h, branch, gate, out);
}

DBLOCKS_KERNEL_CLONES
void gate_rows(Rows shape,
               const float* __restrict h,
               const uint16_t* __restrict branch,
               const float* __restrict gate,
               float* __restrict out) {
  gate_forward(shape, h, branch, gate, out);
}

DBLOCKS_KERNEL_CLONES
void gate_rows_backward(Rows shape,
                        const float* __restrict dy,
                        const float* __restrict branch,
                        const float* __restrict gate,
                        float* __restrict dbranch,
                        float* __restrict dgate) {
  gate_backward(shape, dy, branch, gate, dbranch, dgate);
}

DBLOCKS_KERNEL_CLONES
void gate_rows_backward(Rows shape,
                        const float* __restrict dy,
                        const uint16_t* __restrict branch,
                        const float* __restrict gate,
                        uint16_t* __restrict dbranch,
                        float* __restrict dgate) {
  gate_backward(shape, dy, branch, gate, dbranch, dgate);
}

}  // namespace dblocks::ops::internal
