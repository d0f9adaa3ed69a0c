// SPDX-License-Identifier: Apache-2.0
// No LibTorch here: plain loops that the compiler turns into vectors, compiled
// once for each instruction set.
#include "dblocks/ops/gelu_kernel.h"

#include <bit>

#include "dblocks/ops/bf16_bits.h"
#include "dblocks/ops/kernel_clones.h"

namespace dblocks::ops::internal {
namespace {

/// exp(v) for v in [-87, 0], relative error about 2e-7: 2^n times a polynomial
/// on |r| <= ln(2) / 2.
[[gnu::always_inline]] inline float exp_negative(float v) {
  constexpr float kLog2e = 1.44269504f, kLn2High = 0.693359375f,
                  kLn2Low = -2.12194440e-4f;
  // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer.
  constexpr float kRound = 12582912.0f;
  const float n = (v * kLog2e + kRound) - kRound;
  const float r = (v - n * kLn2High) - n * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const int32_t exponent = (static_cast<int32_t>(n) + 127) << 23;
  return p * std::bit_cast<float>(exponent);
}

/// c[0] x^(N-1) + ... + c[N-1].
template <int N>
[[gnu::always_inline]] inline float polynomial(const float (&c)[N], float x) {
  float sum = c[0];
  for (int i = 1; i < N; ++i) {
    sum = sum * x + c[i];
  }
  return sum;
}

// Coefficients of erf and erfc in single precision from Moshier's Cephes
// library, ndtrf.c: erf(z) = z T(z^2) up to 1, erfc(z) = exp(-z^2) / z times
// P(1 / z^2) up to 2 and R(1 / z^2) beyond.
constexpr float kT[] = {7.853861353153693e-5f, -8.010193625184903e-4f,
                        5.188327685732524e-3f, -2.685381193529856e-2f,
                        1.128358514861418e-1f, -3.761262582423300e-1f,
                        1.128379165726710e+0f};
constexpr float kP[] = {
    2.326819970068386e-2f,  -1.387039388740657e-1f, 3.687424674597105e-1f,
    -5.824733027278666e-1f, 6.210004621745983e-1f,  -4.944515323274145e-1f,
    3.404879937665872e-1f,  -2.741127028184656e-1f, 5.638259427386472e-1f};
constexpr float kR[] = {-1.047766399936249e+1f, 1.297719955372516e+1f,
                        -7.495518717768503e+0f, 2.921019019210786e+0f,
                        -1.015265279202700e+0f, 4.218463358204948e-1f,
                        -2.820767439740514e-1f, 5.641895067754075e-1f};

struct ValueAndSlope {
  float value, slope;
};

/// All three ranges are worked out and one is chosen, without branches.
[[gnu::always_inline]] inline ValueAndSlope gelu(float x) {
  constexpr float kInverseRoot2 = 0.70710678f, kDensity = 0.39894228f;
  const float magnitude = x < 0 ? -x : x;
  // Beyond 12 nothing is left of the tail, and denormal numbers are slow.
  const float bounded = magnitude < 12.0f ? magnitude : 12.0f;
  const float z = bounded * kInverseRoot2;
  const float e = exp_negative(-0.5f * bounded * bounded);
  const float inverse = 1.0f / (z < 1.0f ? 1.0f : z);
  const float square = inverse * inverse;
  const float outer =
      z < 2.0f ? polynomial(kP, square) : polynomial(kR, square);
  const float half_erf = 0.5f * z * polynomial(kT, z * z);
  // Near 0, Phi is taken from the middle, with a single rounding; further out
  // from Phi(-|x|), which is small and accurate as it is.
  const float tail = 0.5f * e * inverse * outer;
  const float near = 0.5f + (x < 0 ? -half_erf : half_erf);
  const float far = x < 0 ? tail : 1.0f - tail;
  const float phi = z < 1.0f ? near : far;
  return {x * phi, phi + x * kDensity * e};
}

/// (1 + tanh(u)) / 2 is the logistic function of 2 u.
[[gnu::always_inline]] inline ValueAndSlope gelu_tanh(float x) {
  constexpr float kRoot = 1.59576912f, kCubic = 0.044715f;  // 2 sqrt(2 / pi)
  const float square = x * x;
  const float doubled = kRoot * x * (1.0f + kCubic * square);
  const float magnitude = doubled < 0 ? -doubled : doubled;
  const float e = exp_negative(magnitude < 80.0f ? -magnitude : -80.0f);
  const float inverse = 1.0f / (1.0f + e);
  const float share = doubled < 0 ? e * inverse : inverse;
  const float slope = kRoot * (1.0f + 3.0f * kCubic * square);
  // e / (1 + e)^2 is share (1 - share); far out it is nothing, however large x.
  const float bend = magnitude < 80.0f ? e * inverse * inverse * slope : 0.0f;
  return {x * share, share + x * bend};
}

}  // namespace

DBLOCKS_KERNEL_CLONES
void gelu_with_slope(const float* __restrict x,
                     float* __restrict value,
                     float* __restrict slope,
                     int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const ValueAndSlope g = gelu(x[i]);
    value[i] = g.value;
    slope[i] = g.slope;
  }
}

DBLOCKS_KERNEL_CLONES
void gelu_with_slope(const uint16_t* __restrict x,
                     uint16_t* __restrict value,
                     uint16_t* __restrict slope,
                     int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const ValueAndSlope g = gelu(widen(x[i]));
    narrow(g.value, value[i]);
    narrow(g.slope, slope[i]);
  }
}

DBLOCKS_KERNEL_CLONES
void gelu_tanh_with_slope(const float* __restrict x,
                          float* __restrict value,
                          float* __restrict slope,
                          int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const ValueAndSlope g = gelu_tanh(x[i]);
    value[i] = g.value;
    slope[i] = g.slope;
  }
}

DBLOCKS_KERNEL_CLONES
void gelu_tanh_with_slope(const uint16_t* __restrict x,
                          uint16_t* __restrict value,
                          uint16_t* __restrict slope,
                          int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const ValueAndSlope g = gelu_tanh(widen(x[i]));
    narrow(g.value, value[i]);
    narrow(g.slope, slope[i]);
  }
}

}  // namespace dblocks::ops::internal
