// SPDX-License-Identifier: Apache-2.0
#include "dblocks/noise/inference_schedule.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "dblocks/core/error.h"

namespace dblocks::noise {
namespace {

/// Calls at sigma_max = at(0), at(1), ..., at(n - 1) = sigma_min, ends pinned.
template <class At>
std::vector<ScheduledSigma> make_schedule(const Partition& partition,
                                          int64_t num_calls,
                                          const At& at) {
  DBLOCKS_CHECK(num_calls >= 1, ConfigError,
                "[inference_schedule] expected at least 1 network call, found "
                "{}",
                num_calls);
  std::vector<ScheduledSigma> calls = {{partition.boundaries().back(), 0}};
  for (int64_t i = 1; i < num_calls; ++i) {
    const double sigma =
        i + 1 == num_calls ? partition.boundaries().front() : at(i);
    calls.push_back({sigma, partition.block_of(sigma)});
  }
  return calls;
}

}  // namespace

std::vector<ScheduledSigma> quantile_schedule(const Partition& partition,
                                              int64_t num_calls) {
  const int64_t last = num_calls - 1;
  return make_schedule(partition, num_calls, [&](int64_t i) {
    // The same expressions as the boundaries of an equal-probability partition,
    // so that a call on a boundary is on it to the last bit.
    const double n = static_cast<double>(last);
    return 2 * (last - i) <= last ? partition.schedule().quantile(
                                        static_cast<double>(last - i) / n)
                                  : partition.schedule().survival_quantile(
                                        static_cast<double>(i) / n);
  });
}

std::vector<ScheduledSigma> karras_schedule(const Partition& partition,
                                            int64_t num_calls,
                                            double rho) {
  DBLOCKS_CHECK(std::isfinite(rho) && rho > 0, ConfigError,
                "[karras_schedule] expected rho above 0, found {}", rho);
  const double top = std::pow(partition.boundaries().back(), 1 / rho);
  const double bottom = std::pow(partition.boundaries().front(), 1 / rho);
  return make_schedule(partition, num_calls, [&](int64_t i) {
    const double share =
        static_cast<double>(i) / static_cast<double>(num_calls - 1);
    return std::pow(top + share * (bottom - top), rho);
  });
}

std::vector<ScheduledSigma> per_block_schedule(
    const Partition& partition, const std::vector<int64_t>& calls) {
  const int64_t num_blocks = partition.num_blocks();
  DBLOCKS_CHECK(
      std::ssize(calls) == num_blocks &&
          std::ranges::all_of(calls, [](int64_t n) { return n >= 1; }),
      ConfigError,
      "[inference_schedule] expected {} numbers of at least 1, one "
      "per block, found {} numbers",
      num_blocks, calls.size());
  const LogNormalSchedule& schedule = partition.schedule();
  std::vector<ScheduledSigma> all;
  for (int64_t block = 0; block < num_blocks; ++block) {
    const Interval own = partition.interval(block);
    const int64_t count = calls[static_cast<size_t>(block)];
    const bool is_last = block + 1 == num_blocks;
    const double low = schedule.cdf(own.low), high = schedule.cdf(own.high);
    const double top = schedule.survival(own.high);
    const double bottom = schedule.survival(own.low);
    all.push_back({own.high, block});
    for (int64_t i = 1; i < count; ++i) {
      const double share = static_cast<double>(i) /
                           static_cast<double>(is_last ? count - 1 : count);
      // By the tail that is nearer, as everywhere.
      const double sigma =
          low > 0.5 ? schedule.survival_quantile(top + share * (bottom - top))
                    : schedule.quantile(high - share * (high - low));
      all.push_back({is_last && i + 1 == count ? own.low : sigma, block});
    }
  }
  return all;
}

std::vector<ScheduledSigma> block_start_schedule(const Partition& partition) {
  std::vector<ScheduledSigma> calls;
  for (int64_t b = 0; b < partition.num_blocks(); ++b) {
    calls.push_back({partition.interval(b).high, b});
  }
  return calls;
}

}  // namespace dblocks::noise
