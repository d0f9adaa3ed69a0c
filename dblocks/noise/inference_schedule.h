// SPDX-License-Identifier: Apache-2.0
// At which sigmas the blocks are called at inference. The block travels with
// its sigma from here on; nobody looks it up from a float later.
#pragma once

#include <cstdint>
#include <vector>

#include "dblocks/noise/partition.h"

namespace dblocks::noise {

/// One network call.
struct ScheduledSigma {
  double sigma = 0;
  int64_t block = 0;
};

/// `num_calls` sigmas equally spaced in probability, from sigma_max down to
/// sigma_min, both included; the last call is at sigma_min and no zero follows.
/// A single call is at sigma_max, block 0 (the published code calls sigma_min
/// then, with a state scaled for sigma_max). A sigma on a boundary goes to the
/// block of less noise, so that num_blocks + 1 calls reach every block.
/// *Errors*: ConfigError if num_calls < 1.
/// *Source*: the published code's discrete schedule, flag `dblock`.
std::vector<ScheduledSigma> quantile_schedule(const Partition& partition,
                                              int64_t num_calls);

/// Karras et al. 2022 (arXiv 2206.00364), equation 5, without the final zero:
/// sigma_i = (sigma_max^(1/rho) + i/(n-1) (sigma_min^(1/rho) -
/// sigma_max^(1/rho)))^rho. Blocks with narrow intervals may get no call.
/// *Errors*: as above, and ConfigError unless rho is positive and finite.
std::vector<ScheduledSigma> karras_schedule(const Partition& partition,
                                            int64_t num_calls,
                                            double rho = 7);

/// `calls[b]` calls in block b, equally spaced in probability from the upper
/// end of its interval downwards; the last block's last call is at sigma_min
/// (its only one at the upper end). *Errors*: ConfigError unless there is one
/// number, at least 1, for each block.
std::vector<ScheduledSigma> per_block_schedule(
    const Partition& partition, const std::vector<int64_t>& calls);

/// One call per block, at the upper end of its interval.
std::vector<ScheduledSigma> block_start_schedule(const Partition& partition);

}  // namespace dblocks::noise
