// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/histogram.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace dblocks::report {
namespace {

constexpr size_t kNumBuckets = 64;

// Everything but the buckets.
Histogram summarised(std::span<const float> values) {
  Histogram result;
  for (const float element : values) {
    const double value = element;
    if (!std::isfinite(value)) {
      continue;
    }
    result.min = result.count == 0 ? value : std::min(result.min, value);
    result.max = result.count == 0 ? value : std::max(result.max, value);
    result.count += 1;
    result.sum += value;
    result.sum_squares += value * value;
  }
  return result;
}

}  // namespace

Histogram make_histogram(std::span<const float> values) {
  Histogram result = summarised(values);
  if (result.count == 0) {
    return result;
  }
  if (result.min == result.max) {
    result.limits = {result.max};
    result.counts = {result.count};
    return result;
  }
  const double width = (result.max - result.min) / kNumBuckets;
  for (size_t i = 1; i < kNumBuckets; ++i) {
    result.limits.push_back(result.min + width * static_cast<double>(i));
  }
  result.limits.push_back(result.max);
  result.counts.resize(kNumBuckets);
  for (const float value : values) {
    if (std::isfinite(value)) {
      const auto bucket = static_cast<size_t>((value - result.min) / width);
      result.counts[std::min(bucket, kNumBuckets - 1)] += 1;
    }
  }
  return result;
}

}  // namespace dblocks::report
