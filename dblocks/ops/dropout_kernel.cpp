// SPDX-License-Identifier: Apache-2.0
// No LibTorch here: plain loops that the compiler turns into vectors, compiled
// once for each instruction set.
#include "dblocks/ops/dropout_kernel.h"

#include <algorithm>

#include "dblocks/ops/bf16_bits.h"
#include "dblocks/ops/kernel_clones.h"

namespace dblocks::ops::internal {
namespace {

constexpr int kLanes = 16;

/// The random words of a group: lane l of the generator makes words l, 16 + l,
/// 32 + l and 48 + l from counter 16 * group + l.
/// *Source*: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
[[gnu::always_inline]] inline void random_group(uint64_t key,
                                                int64_t group,
                                                uint32_t* words) {
  uint32_t c0[kLanes], c1[kLanes], c2[kLanes] = {}, c3[kLanes] = {};
  for (int lane = 0; lane < kLanes; ++lane) {
    const uint64_t counter = static_cast<uint64_t>(group) * kLanes + lane;
    c0[lane] = static_cast<uint32_t>(counter);
    c1[lane] = static_cast<uint32_t>(counter >> 32);
  }
  auto k0 = static_cast<uint32_t>(key);
  auto k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const uint64_t p0 = uint64_t{0xD2511F53} * c0[lane];
      const uint64_t p1 = uint64_t{0xCD9E8D57} * c2[lane];
      c0[lane] = static_cast<uint32_t>(p1 >> 32) ^ c1[lane] ^ k0;
      c1[lane] = static_cast<uint32_t>(p1);
      c2[lane] = static_cast<uint32_t>(p0 >> 32) ^ c3[lane] ^ k1;
      c3[lane] = static_cast<uint32_t>(p0);
    }
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    words[lane] = c0[lane];
    words[kLanes + lane] = c1[lane];
    words[2 * kLanes + lane] = c2[lane];
    words[3 * kLanes + lane] = c3[lane];
  }
}

template <class Element>
[[gnu::always_inline]] inline void drop_all(const DropoutRule& rule,
                                            int64_t first,
                                            int64_t count,
                                            const Element* x,
                                            Element* y) {
  int64_t size = 0;
  for (int64_t start = 0; start < count; start += size) {
    uint32_t words[kDropoutGroup];
    random_group(rule.key, (first + start) / kDropoutGroup, words);
    const int64_t skipped = (first + start) % kDropoutGroup;
    size = std::min(kDropoutGroup - skipped, count - start);
    for (int64_t i = 0; i < size; ++i) {
      const float kept =
          words[skipped + i] >= rule.threshold ? rule.scale : 0.0f;
      narrow(widen(x[start + i]) * kept, y[start + i]);
    }
  }
}

}  // namespace

DBLOCKS_KERNEL_CLONES
void drop(const DropoutRule& rule,
          int64_t first,
          int64_t count,
          const float* x,
          float* y) {
  drop_all(rule, first, count, x, y);
}

DBLOCKS_KERNEL_CLONES
void drop(const DropoutRule& rule,
          int64_t first,
          int64_t count,
          const uint16_t* x,
          uint16_t* y) {
  drop_all(rule, first, count, x, y);
}

}  // namespace dblocks::ops::internal
