// SPDX-License-Identifier: Apache-2.0
// AdamW whose moments take a byte each: 2.03 bytes a weight for both instead of
// 8. A block of moments is decoded, updated and coded again while it is in
// registers and cache. The fast path, the readable twin, every instruction set
// and every number of threads give the same bits.
#pragma once

#include <cstdint>
#include <span>

#include "dblocks/core/state_format.h"
#include "dblocks/optim/adamw.h"
#include "dblocks/optim/parallel_for.h"

namespace dblocks::optim {

/// A moment as bytes of a DynamicCode: element i is
/// values[codes[i]] * scales[i / kMomentBlock], and a block's scale its largest
/// magnitude.
struct CodedMoment {
  std::span<uint8_t> codes;
  std::span<float> scales;
};

/// A block's buffers; lengths and decayed_count are multiples of kMomentBlock.
struct AdamWInt8Buffers {
  std::span<float> weights;
  std::span<const float> gradient;
  CodedMoment first_moment;   ///< DynamicCode::with_sign
  CodedMoment second_moment;  ///< DynamicCode::without_sign
  int64_t decayed_count = 0;
};

/// adamw_update() on moments in 8 bits. Weights move by the moments before
/// these are rounded to the nearest code. Unlike in the published code a
/// positive second moment never becomes 0, but the smallest code: an element
/// whose gradient is tiny beside its block's would otherwise take steps of up
/// to 1 / sqrt(1 - beta2) learning rates.
///
/// *Errors*: InternalError if lengths do not fit or step < 1.
/// *Threads*: the buffers must not be touched by others meanwhile.
/// *Source*: block-wise quantisation, Dettmers et al. 2022, arXiv 2110.02861,
/// section 2.1, with blocks of 256.
void adamw_int8_update(const AdamWStep& step,
                       const AdamWInt8Buffers& buffers,
                       const ParallelFor& parallel = {});

/// The readable twin of adamw_int8_update: one plain loop and a search through
/// the code, the same bits.
void adamw_int8_update_reference(const AdamWStep& step,
                                 const AdamWInt8Buffers& buffers);

}  // namespace dblocks::optim
