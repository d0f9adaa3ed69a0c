// SPDX-License-Identifier: Apache-2.0
// LayerNorm with modulation. A warp takes a row; the row is read again from
// cache for each pass, so that memory is read once. Sums over the rows of a
// sample are taken by column, in a fixed order.
#include "dblocks/ops/cuda/device.cuh"
#include "dblocks/ops/cuda/launches.h"

namespace dblocks::ops::cuda {
namespace {

constexpr int kRowsPerBlock = 8;
constexpr int kGroups = 8;  // of rows, in a block that sums columns

template <class Out>
__global__ void norm_kernel(RowShape shape,
                            const float* __restrict__ x,
                            NormVectors v,
                            float eps,
                            Out* __restrict__ y,
                            float* __restrict__ mean,
                            float* __restrict__ rstd) {
  const int64_t row = int64_t{blockIdx.x} * kRowsPerBlock + threadIdx.y;
  if (row >= shape.samples * shape.rows) {
    return;
  }
  const int64_t width = shape.width, sample = row / shape.rows;
  const int64_t start = threadIdx.x * 4, stride = kWarp * 4;
  const float* in = x + row * width;
  float sum = 0;
  for (int64_t i = start; i < width; i += stride) {
    const float4 a = load4(in + i);
    sum += (a.x + a.y) + (a.z + a.w);
  }
  const float m = warp_sum(sum) / static_cast<float>(width);
  float squares = 0;
  for (int64_t i = start; i < width; i += stride) {
    const float4 a = load4(in + i);
    const float4 d = {a.x - m, a.y - m, a.z - m, a.w - m};
    squares += (d.x * d.x + d.y * d.y) + (d.z * d.z + d.w * d.w);
  }
  const float variance = warp_sum(squares) / static_cast<float>(width);
  const float r = 1 / sqrtf(variance + eps);
  for (int64_t i = start; i < width; i += stride) {
    const float4 a = load4(in + i), w = load4(v.weight + i),
                 b = load4(v.bias + i);
    float4 out = {(a.x - m) * r * w.x + b.x, (a.y - m) * r * w.y + b.y,
                  (a.z - m) * r * w.z + b.z, (a.w - m) * r * w.w + b.w};
    if (v.scale != nullptr) {
      const float4 s = load4(v.scale + sample * v.scale_stride + i);
      const float4 t = load4(v.shift + sample * v.shift_stride + i);
      out = {out.x * (1 + s.x) + t.x, out.y * (1 + s.y) + t.y,
             out.z * (1 + s.z) + t.z, out.w * (1 + s.w) + t.w};
    }
    store4(y + row * width + i, out);
  }
  if (threadIdx.x == 0) {
    mean[row] = m;
    rstd[row] = r;
  }
}

/// With g the gradient of the normalised row n:
/// dx = r * (g - mean(g) - n * mean(g n)).
template <class In>
__global__ void norm_dx_kernel(RowShape shape,
                               const In* __restrict__ dy,
                               const float* __restrict__ x,
                               NormVectors v,
                               const float* __restrict__ mean,
                               const float* __restrict__ rstd,
                               float* __restrict__ dx) {
  const int64_t row = int64_t{blockIdx.x} * kRowsPerBlock + threadIdx.y;
  if (row >= shape.samples * shape.rows) {
    return;
  }
  const int64_t width = shape.width, sample = row / shape.rows;
  const int64_t start = threadIdx.x * 4, stride = kWarp * 4;
  const float m = mean[row], r = rstd[row];
  const auto gradient = [&](int64_t i) {
    const float4 d = load4(dy + row * width + i), w = load4(v.weight + i);
    float4 g = {d.x * w.x, d.y * w.y, d.z * w.z, d.w * w.w};
    if (v.scale != nullptr) {
      const float4 s = load4(v.scale + sample * v.scale_stride + i);
      g = {g.x * (1 + s.x), g.y * (1 + s.y), g.z * (1 + s.z), g.w * (1 + s.w)};
    }
    return g;
  };
  const auto normal = [&](int64_t i) {
    const float4 a = load4(x + row * width + i);
    return float4{(a.x - m) * r, (a.y - m) * r, (a.z - m) * r, (a.w - m) * r};
  };
  float sum_g = 0, sum_gn = 0;
  for (int64_t i = start; i < width; i += stride) {
    const float4 g = gradient(i), n = normal(i);
    sum_g += (g.x + g.y) + (g.z + g.w);
    sum_gn += (g.x * n.x + g.y * n.y) + (g.z * n.z + g.w * n.w);
  }
  const float mean_g = warp_sum(sum_g) / static_cast<float>(width);
  const float mean_gn = warp_sum(sum_gn) / static_cast<float>(width);
  for (int64_t i = start; i < width; i += stride) {
    const float4 g = gradient(i), n = normal(i);
    store4(dx + row * width + i,
           {r * (g.x - mean_g - n.x * mean_gn),
            r * (g.y - mean_g - n.y * mean_gn),
            r * (g.z - mean_g - n.z * mean_gn),
            r * (g.w - mean_g - n.w * mean_gn)});
  }
}

/// Sums over the rows of a sample: of dy, and of dy times the normalised row.
template <class In>
__global__ void norm_sums_kernel(RowShape shape,
                                 const In* __restrict__ dy,
                                 const float* __restrict__ x,
                                 const float* __restrict__ mean,
                                 const float* __restrict__ rstd,
                                 float* __restrict__ sum_dy,
                                 float* __restrict__ sum_dy_normal) {
  __shared__ float partial[2][kGroups][kWarp];
  const int64_t column = int64_t{blockIdx.x} * kWarp + threadIdx.x;
  const int64_t sample = blockIdx.y;
  float a = 0, c = 0;
  if (column < shape.width) {
    for (int64_t i = threadIdx.y; i < shape.rows; i += kGroups) {
      const int64_t row = sample * shape.rows + i;
      const int64_t at = row * shape.width + column;
      const float d = load1(dy + at);
      a += d;
      c += d * ((x[at] - mean[row]) * rstd[row]);
    }
  }
  partial[0][threadIdx.y][threadIdx.x] = a;
  partial[1][threadIdx.y][threadIdx.x] = c;
  __syncthreads();
  if (threadIdx.y == 0 && column < shape.width) {
    for (int group = 1; group < kGroups; ++group) {
      a += partial[0][group][threadIdx.x];
      c += partial[1][group][threadIdx.x];
    }
    sum_dy[sample * shape.width + column] = a;
    sum_dy_normal[sample * shape.width + column] = c;
  }
}

}  // namespace

const char* norm(const RowShape& shape,
                 const float* x,
                 const NormVectors& vectors,
                 float eps,
                 Element type,
                 void* y,
                 float* mean,
                 float* rstd,
                 void* stream) {
  const dim3 threads(kWarp, kRowsPerBlock);
  with_element(type, [&](auto* tag) {
    norm_kernel<<<num_blocks(shape.samples * shape.rows, kRowsPerBlock),
                  threads, 0, as_stream(stream)>>>(
        shape, x, vectors, eps, static_cast<decltype(tag)>(y), mean, rstd);
  });
  return launch_result();
}

const char* norm_backward(const RowShape& shape,
                          Element type,
                          const void* dy,
                          const float* x,
                          const NormVectors& vectors,
                          const float* mean,
                          const float* rstd,
                          float* dx,
                          float* sum_dy,
                          float* sum_dy_normal,
                          void* stream) {
  const dim3 threads(kWarp, kRowsPerBlock);
  const dim3 columns(num_blocks(shape.width, kWarp),
                     static_cast<unsigned>(shape.samples));
  with_element(type, [&](auto* tag) {
    const auto* gradient = static_cast<decltype(tag)>(const_cast<void*>(dy));
    norm_dx_kernel<<<num_blocks(shape.samples * shape.rows, kRowsPerBlock),
                     threads, 0, as_stream(stream)>>>(
        shape, gradient, x, vectors, mean, rstd, dx);
    norm_sums_kernel<<<columns, dim3(kWarp, kGroups), 0, as_stream(stream)>>>(
        shape, gradient, x, mean, rstd, sum_dy, sum_dy_normal);
  });
  return launch_result();
}

}  // namespace dblocks::ops::cuda
