// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace dblocks::ops::internal {

/// The tokens of one sample: `rows` rows of `width` numbers, one after another.
struct Rows {
  int64_t rows;
  int64_t width;
};

/// What normalised rows meet. *Shapes*: [width] each; shift and scale are null
/// where there is no modulation.
struct NormParameters {
  const float* weight;
  const float* bias;
  const float* shift;
  const float* scale;
};

/// y = ((x - mean) * rstd * weight + bias) * (1 + scale) + shift with each
/// row's own mean and rstd = 1 / sqrt(variance + eps), which are kept for the
/// backward pass. *Shapes*: x, y: [rows, width]; mean, rstd: [rows].
void norm_rows(Rows shape,
               const float* x,
               const NormParameters& parameters,
               float eps,
               float* y,
               float* mean,
               float* rstd);

/// Its gradients: that of x, and the sums over rows of dy and of
/// dy * (x - mean) * rstd, from which those of the parameters follow.
/// *Shapes*: dy, x, dx: [rows, width]; the sums: [width].
void norm_rows_backward(Rows shape,
                        const float* dy,
                        const float* x,
                        const NormParameters& parameters,
                        const float* mean,
                        const float* rstd,
                        float* dx,
                        float* sum_dy,
                        float* sum_dy_normal);

/// out = h + gate * branch. *Shapes*: [rows, width]; gate: [width]. The branch
/// is float or the bit patterns of bfloat16.
void gate_rows(Rows shape,
               const float* h,
               const float* branch,
               const float* gate,
               float* out);
void gate_rows(Rows shape,
               const float* h,
               const uint16_t* branch,
               const float* gate,
               float* out);

/// dbranch = dy * gate, and dgate = the sum over rows of dy * branch.
void gate_rows_backward(Rows shape,
                        const float* dy,
                        const float* branch,
                        const float* gate,
                        float* dbranch,
                        float* dgate);
void gate_rows_backward(Rows shape,
                        const float* dy,
                        const uint16_t* branch,
                        const float* gate,
                        uint16_t* dbranch,
                        float* dgate);

}  // namespace dblocks::ops::internal
