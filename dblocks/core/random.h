// SPDX-License-Identifier: Apache-2.0
// Counter-based random streams: what a stream yields depends on its key alone,
// never on thread timing or on what was drawn before elsewhere. Resuming a run
// therefore stores a step number, not a generator.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace dblocks {

/// What random numbers are for. The value is part of the key of a stream, so
/// entries are never renumbered: old runs would draw other numbers.
enum class RandomPurpose : uint32_t {
  kInitialWeights = 1,
  kEpochOrder = 2,
  kAugmentation = 3,
  kSigma = 4,
  kNoise = 5,
  kDropout = 6,
  kBlockChoice = 7,
  kSampling = 8,
  kAnchor = 9,
  kTargetTable = 10,
  kLabelDropout = 11,
  kWeightRounding = 12,
};

/// A stream of random numbers keyed by (seed, purpose, a, b): Philox4x32-10,
/// Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". `a` and
/// `b` are whatever names the use, for instance block and step, or epoch and
/// sample; each holds up to 2^32 - 1, and one stream yields 2^34 words.
///
/// *Threads*: a stream is a value; give each thread its own.
class RandomStream {
 public:
  RandomStream(uint64_t seed, RandomPurpose purpose, uint64_t a, uint64_t b);

  /// The key that seed and purpose give; the counter starts at
  /// {0, 0, a, b}. For kernels that draw the same numbers elsewhere.
  uint64_t key() const { return uint64_t{key_[1]} << 32 | key_[0]; }

  /// The next 32 uniform bits.
  uint32_t next_uint32();
  /// Uniform in [0, 1) with 53 random bits.
  double next_uniform();
  /// Uniform integer in [0, bound), without bias. Requires: bound > 0.
  uint64_t next_below(uint64_t bound);
  /// Standard normal (Box-Muller, in double).
  double next_normal();

  /// Fills `out` with standard normal numbers.
  void fill_normal(std::span<float> out);

 private:
  void refill();

  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> words_{};
  int used_ = 4;
  bool has_spare_normal_ = false;
  double spare_normal_ = 0;
};

/// One well-mixed 64-bit number from a key, for seeding generators of others.
uint64_t mix_seed(uint64_t seed, RandomPurpose purpose, uint64_t a, uint64_t b);

}  // namespace dblocks
