// SPDX-License-Identifier: Apache-2.0
// The norm of a flat gradient, and what follows from it for the update. Sums
// are in double and in a fixed order: the same bits every time.
#include "dblocks/ops/cuda/device.cuh"
#include "dblocks/ops/cuda/launches.h"

namespace dblocks::ops::cuda {
namespace {

constexpr int kThreads = 256;

/// The sum over a block's threads, in thread 0.
__device__ double block_sum(double value) {
  __shared__ double sums[kThreads];
  sums[threadIdx.x] = value;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) {
      sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    __syncthreads();
  }
  return sums[0];
}

__global__ void squares_kernel(const float* __restrict__ gradient,
                               int64_t count,
                               double* __restrict__ partial) {
  double sum = 0;
  for (int64_t i = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * 4;
       i < count; i += int64_t{kNormPartials} * kThreads * 4) {
    const float4 g = load4(gradient + i);
    sum += (static_cast<double>(g.x) * g.x + static_cast<double>(g.y) * g.y) +
           (static_cast<double>(g.z) * g.z + static_cast<double>(g.w) * g.w);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = sum;
  }
}

__global__ void norm_kernel(const double* __restrict__ partial,
                            double* __restrict__ norm) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < kNormPartials; i += kThreads) {
    sum += partial[i];
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    *norm = sqrt(sum);
  }
}

__global__ void clip_kernel(const double* norm,
                            const double* second_norm,
                            const double* loss,
                            double clip_norm,
                            UpdateFactors* factors,
                            double* result) {
  const double whole =
      second_norm == nullptr ? *norm : hypot(*norm, *second_norm);
  const double scale =
      clip_norm == 0 ? 1.0 : fmin(1.0, clip_norm / (whole + 1e-6));
  factors->gradient_scale = static_cast<float>(scale);
  factors->skip = isfinite(whole) && isfinite(*loss) ? 0 : 1;
  result[0] = *loss;
  result[1] = whole;
}

}  // namespace

const char* gradient_norm(const float* gradient,
                          int64_t count,
                          double* partial,
                          double* norm,
                          void* stream) {
  squares_kernel<<<kNormPartials, kThreads, 0, as_stream(stream)>>>(
      gradient, count, partial);
  norm_kernel<<<1, kThreads, 0, as_stream(stream)>>>(partial, norm);
  return launch_result();
}

const char* clip(const double* norm,
                 const double* second_norm,
                 const double* loss,
                 double clip_norm,
                 UpdateFactors* factors,
                 double* result,
                 void* stream) {
  clip_kernel<<<1, 1, 0, as_stream(stream)>>>(norm, second_norm, loss,
                                               clip_norm, factors, result);
  return launch_result();
}

}  // namespace dblocks::ops::cuda
