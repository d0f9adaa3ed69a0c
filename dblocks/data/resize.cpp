// SPDX-License-Identifier: Apache-2.0
// Scaling as PIL does it for 8-bit images: columns first, then rows, integer
// weights of kWeightBits bits, rounding to bytes after each pass.
#include <algorithm>
#include <cmath>

#include "dblocks/data/transforms.h"

namespace dblocks::data {
namespace {

constexpr int kWeightBits = 32 - 8 - 2;

// One dimension of a resize: output i sums inputs first[i] ... with the weights
// weights[i * stride] ...
struct Taps {
  int64_t stride = 0;
  std::vector<int64_t> first;
  std::vector<int64_t> count;
  std::vector<int32_t> weights;
};

double triangle(double x) {
  return std::max(0.0, 1.0 - std::abs(x));
}

// Weights that sum to one, rounded half away from zero.
void set_weights(Taps& taps, int64_t out, double center, double scale) {
  std::vector<double> raw(static_cast<size_t>(taps.count[out]));
  double sum = 0;
  for (size_t i = 0; i < raw.size(); ++i) {
    const double x = static_cast<double>(taps.first[out] + int64_t(i));
    raw[i] = triangle((x - center + 0.5) * (1.0 / scale));
    sum += raw[i];
  }
  for (size_t i = 0; i < raw.size(); ++i) {
    const double weight = sum != 0 ? raw[i] / sum : raw[i];
    taps.weights[static_cast<size_t>(out * taps.stride) + i] =
        static_cast<int32_t>(0.5 + weight * (1 << kWeightBits));
  }
}

Taps make_taps(int64_t in_size, int64_t out_size) {
  const double ratio =
      static_cast<double>(in_size) / static_cast<double>(out_size);
  const double scale = std::max(ratio, 1.0);
  Taps taps;
  taps.stride = static_cast<int64_t>(std::ceil(scale)) * 2 + 1;
  taps.weights.resize(static_cast<size_t>(taps.stride * out_size));
  for (int64_t i = 0; i < out_size; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * ratio;
    const auto from = static_cast<int64_t>(center - scale + 0.5);
    const auto to = static_cast<int64_t>(center + scale + 0.5);
    taps.first.push_back(std::max<int64_t>(from, 0));
    taps.count.push_back(std::min(to, in_size) - taps.first.back());
    set_weights(taps, i, center, scale);
  }
  return taps;
}

// Filters one line whose samples lie `step` apart.
void filter_line(const Taps& taps,
                 const uint8_t* in,
                 int64_t in_step,
                 uint8_t* out,
                 int64_t out_step) {
  for (size_t i = 0; i < taps.first.size(); ++i) {
    const int32_t* weights = &taps.weights[i * size_t(taps.stride)];
    const uint8_t* start = in + taps.first[i] * in_step;
    int32_t sum = 1 << (kWeightBits - 1);
    for (int64_t k = 0; k < taps.count[i]; ++k) {
      sum += start[k * in_step] * weights[k];
    }
    out[int64_t(i) * out_step] =
        static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
  }
}

// Filters all columns of `in` [*, columns] at once: line by line, in the order
// that a compiler vectorises.
void filter_rows(const Taps& taps,
                 const uint8_t* in,
                 int64_t columns,
                 uint8_t* out) {
  std::vector<int32_t> sums(static_cast<size_t>(columns));
  for (size_t i = 0; i < taps.first.size(); ++i) {
    std::fill(sums.begin(), sums.end(), 1 << (kWeightBits - 1));
    for (int64_t k = 0; k < taps.count[i]; ++k) {
      const int32_t weight = taps.weights[i * size_t(taps.stride) + size_t(k)];
      const uint8_t* line = in + (taps.first[i] + k) * columns;
      for (int64_t x = 0; x < columns; ++x) {
        sums[size_t(x)] += line[x] * weight;
      }
    }
    uint8_t* line = out + int64_t(i) * columns;
    for (int64_t x = 0; x < columns; ++x) {
      line[x] = static_cast<uint8_t>(
          std::clamp(sums[size_t(x)] >> kWeightBits, 0, 255));
    }
  }
}

}  // namespace

void resized_crop(const Image& in,
                  const Box& box,
                  int64_t rows,
                  int64_t columns,
                  Image& out) {
  const Taps across = make_taps(box.columns, columns);
  const Taps down = make_taps(box.rows, rows);
  std::vector<uint8_t> middle(static_cast<size_t>(box.rows * columns));
  out.resize(in.channels, rows, columns);
  for (int64_t c = 0; c < in.channels; ++c) {
    for (int64_t y = 0; y < box.rows; ++y) {
      filter_line(across, in.plane(c) + (box.top + y) * in.columns + box.left,
                  1, middle.data() + y * columns, 1);
    }
    filter_rows(down, middle.data(), columns, out.plane(c));
  }
}

}  // namespace dblocks::data
