// SPDX-License-Identifier: Apache-2.0
#include "dblocks/core/random.h"

#include <cmath>
#include <numbers>

#include "dblocks/core/error.h"
#include "dblocks/core/philox.h"

namespace dblocks {
namespace {

uint64_t split_mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

RandomStream::RandomStream(uint64_t seed,
                           RandomPurpose purpose,
                           uint64_t a,
                           uint64_t b) {
  DBLOCKS_ASSERT(a <= UINT32_MAX && b <= UINT32_MAX,
                 "random stream index out of range: {}, {}", a, b);
  // Seed and purpose select the key; a and b select a range of the counter, so
  // streams of one key never overlap.
  const uint64_t key =
      split_mix(seed ^ split_mix(static_cast<uint64_t>(purpose)));
  key_ = {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
  counter_ = {0, 0, static_cast<uint32_t>(a), static_cast<uint32_t>(b)};
}

void RandomStream::refill() {
  words_ = philox(counter_, key_);
  if (++counter_[0] == 0) {
    ++counter_[1];
  }
  used_ = 0;
}

uint32_t RandomStream::next_uint32() {
  if (used_ == 4) {
    refill();
  }
  return words_[used_++];
}

double RandomStream::next_uniform() {
  const uint64_t high = next_uint32();
  const uint64_t low = next_uint32();
  return static_cast<double>(((high << 32) | low) >> 11) * 0x1.0p-53;
}

uint64_t RandomStream::next_below(uint64_t bound) {
  DBLOCKS_ASSERT(bound > 0, "empty range");
  // Rejection on 64 bits: values under `threshold` would favour small results.
  const uint64_t threshold = (0 - bound) % bound;
  while (true) {
    const uint64_t high = next_uint32();
    const uint64_t value = (high << 32) | next_uint32();
    if (value >= threshold) {
      return value % bound;
    }
  }
}

double RandomStream::next_normal() {
  if (has_spare_normal_) {
    has_spare_normal_ = false;
    return spare_normal_;
  }
  const double radius = std::sqrt(-2 * std::log(1 - next_uniform()));
  const double angle = 2 * std::numbers::pi * next_uniform();
  spare_normal_ = radius * std::sin(angle);
  has_spare_normal_ = true;
  return radius * std::cos(angle);
}

void RandomStream::fill_normal(std::span<float> out) {
  for (float& value : out) {
    value = static_cast<float>(next_normal());
  }
}

uint64_t mix_seed(uint64_t seed,
                  RandomPurpose purpose,
                  uint64_t a,
                  uint64_t b) {
  RandomStream stream(seed, purpose, a, b);
  const uint64_t high = stream.next_uint32();
  return (high << 32) | stream.next_uint32();
}

}  // namespace dblocks
