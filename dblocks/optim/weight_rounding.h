// SPDX-License-Identifier: Apache-2.0
// Stochastic rounding of weights to bfloat16, so that they can be stored in two
// bytes with no float32 copy kept: an update too small for bfloat16's 8 bits
// changes a weight seldom instead of never, and is right on average.
#pragma once

#include <cstdint>
#include <span>

#include "dblocks/optim/parallel_for.h"

namespace dblocks::optim {

/// Rounds each weight to one of its two neighbours in bfloat16, to the upper
/// one with the probability of the share that lies below the weight, and
/// writes it to `stored` too, as its upper 16 bits. A weight that is one of
/// bfloat16 stays. Element i of a key always meets the same random bits.
///
/// *Errors*: InternalError if lengths differ.
/// *Threads*: the buffers must not be touched by others meanwhile; the result
/// does not depend on how many there are.
/// *Source*: Gupta et al. 2015, arXiv 1502.02551, section 3.
void round_weights(std::span<float> weights,
                   std::span<uint16_t> stored,
                   uint32_t key,
                   const ParallelFor& parallel = {});

}  // namespace dblocks::optim
