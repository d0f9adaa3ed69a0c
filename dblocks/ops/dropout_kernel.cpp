// SPDX-License-Identifier: Apache-2.0
// No LibTorch here: plain loops that the compiler turns into vectors, compiled
// once for each instruction set.
#include "dblocks/ops/dropout_kernel.h"

#include <algorithm>

#include "dblocks/ops/bf16_bits.h"
#include "dblocks/ops/kernel_clones.h"
#include "dblocks/ops/philox_kernel.h"

namespace dblocks::ops::internal {
namespace {

static_assert(kDropoutGroup == kPhiloxWords);

template <class Element>
[[gnu::always_inline]] inline void drop_where(const DropoutRule& rule,
                                              const uint32_t* words,
                                              int64_t count,
                                              const Element* x,
                                              Element* y) {
  for (int64_t i = 0; i < count; ++i) {
    const float kept = words[i] >= rule.threshold ? rule.scale : 0.0f;
    narrow(widen(x[i]) * kept, y[i]);
  }
}

template <class Element>
[[gnu::always_inline]] inline void drop_all(const DropoutRule& rule,
                                            int64_t first,
                                            int64_t count,
                                            const Element* x,
                                            Element* y) {
  const DropoutRule own = rule;  // which no y overlaps
  int64_t size = 0;
  for (int64_t start = 0; start < count; start += size) {
    uint32_t words[kDropoutGroup];
    philox_words(own.key, (first + start) / kDropoutGroup, words);
    const int64_t skipped = (first + start) % kDropoutGroup;
    size = std::min(kDropoutGroup - skipped, count - start);
    if (size == kDropoutGroup) {  // a count that the compiler knows
      drop_where(own, words, kDropoutGroup, x + start, y + start);
    } else {
      drop_where(own, words + skipped, size, x + start, y + start);
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
