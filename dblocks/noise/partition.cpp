// SPDX-License-Identifier: Apache-2.0
#include "dblocks/noise/partition.h"

#include <algorithm>
#include <cmath>

#include "dblocks/core/error.h"

namespace dblocks::noise {
namespace {

/// Boundary `b` of `count`, strictly inside the range.
double inner_boundary(const LogNormalSchedule& schedule,
                      PartitionKind kind,
                      int64_t b,
                      int64_t count) {
  const double low = schedule.options().sigma_min;
  const double high = schedule.options().sigma_max;
  const double share = static_cast<double>(b) / static_cast<double>(count);
  switch (kind) {
    case PartitionKind::kLogUniform:
      return low * std::pow(high / low, share);
    case PartitionKind::kLinear:
      return low + share * (high - low);
    default:
      // The upper half goes through the survival function: see quantile().
      return 2 * b <= count
                 ? schedule.quantile(share)
                 : schedule.survival_quantile(static_cast<double>(count - b) /
                                              static_cast<double>(count));
  }
}

void check_listed(const NoiseOptions& noise,
                  const std::vector<double>& listed,
                  int64_t num_blocks) {
  DBLOCKS_CHECK(static_cast<int64_t>(listed.size()) == num_blocks + 1,
                ConfigError,
                "[partition] expected partition.boundaries to list {} values "
                "(one more than blocks.num_blocks), found {}",
                num_blocks + 1, listed.size());
  DBLOCKS_CHECK(
      listed.front() == noise.sigma_min && listed.back() == noise.sigma_max,
      ConfigError,
      "[partition] expected partition.boundaries to run from "
      "noise.sigma_min ({}) to noise.sigma_max ({}), found {} to {}",
      noise.sigma_min, noise.sigma_max, listed.front(), listed.back());
  for (size_t i = 1; i < listed.size(); ++i) {
    DBLOCKS_CHECK(listed[i] > listed[i - 1], ConfigError,
                  "[partition] expected partition.boundaries to ascend, found "
                  "{} after {}",
                  listed[i], listed[i - 1]);
  }
}

}  // namespace

void visit_fields(FieldVisitor& visitor, PartitionOptions& options) {
  visitor.field({"kind", "",
                 "How the noise axis is cut: equal_probability (published), "
                 "log_uniform, linear, or listed."},
                options.kind);
  visitor.field({"boundaries", "sigma",
                 "All num_blocks + 1 boundaries, ascending; kind listed only."},
                options.boundaries);
  visitor.field({"overlap", "",
                 "Share of an interval's log-width that training adds on each "
                 "side; published: 0.05."},
                options.overlap);
}

Partition::Partition(const NoiseOptions& noise,
                     const PartitionOptions& options,
                     int64_t num_blocks)
    : schedule_(noise), overlap_(options.overlap) {
  DBLOCKS_CHECK(num_blocks >= 1, ConfigError,
                "[partition] expected blocks.num_blocks of at least 1, found "
                "{}",
                num_blocks);
  DBLOCKS_CHECK(overlap_ >= 0 && std::isfinite(overlap_), ConfigError,
                "[partition] expected partition.overlap of at least 0, found "
                "{}",
                overlap_);
  if (options.kind == PartitionKind::kListed) {
    check_listed(noise, options.boundaries, num_blocks);
    boundaries_ = options.boundaries;
    return;
  }
  DBLOCKS_CHECK(options.boundaries.empty(), ConfigError,
                "[partition] expected partition.boundaries only with kind = "
                "\"listed\", found kind = \"{}\"",
                enum_name(options.kind));
  boundaries_.push_back(noise.sigma_min);
  for (int64_t b = 1; b < num_blocks; ++b) {
    boundaries_.push_back(
        inner_boundary(schedule_, options.kind, b, num_blocks));
  }
  boundaries_.push_back(noise.sigma_max);
}

Interval Partition::interval(int64_t block) const {
  DBLOCKS_ASSERT(block >= 0 && block < num_blocks(), "block {} of {}", block,
                 num_blocks());
  const auto upper = static_cast<size_t>(num_blocks() - block);
  return {boundaries_[upper - 1], boundaries_[upper]};
}

Interval Partition::training_interval(int64_t block) const {
  const Interval own = interval(block);
  const double factor = std::pow(own.high / own.low, overlap_);
  return {std::max(own.low / factor, boundaries_.front()),
          std::min(own.high * factor, boundaries_.back())};
}

int64_t Partition::block_of(double sigma) const {
  DBLOCKS_ASSERT(!std::isnan(sigma), "block of NaN");
  // The first boundary not below sigma closes the interval that owns it, since
  // a boundary belongs to the interval below it.
  const auto closing =
      std::lower_bound(boundaries_.begin() + 1, boundaries_.end() - 1, sigma);
  return boundaries_.end() - 1 - closing;
}

double Partition::sample_sigma(int64_t block, double u) const {
  const Interval range = training_interval(block);
  const double low = schedule_.cdf(range.low);
  const double high = schedule_.cdf(range.high);
  double sigma;
  if (low + u * (high - low) <= 0.5) {
    sigma = schedule_.quantile(low + u * (high - low));
  } else {
    const double top = schedule_.survival(range.high);
    sigma = schedule_.survival_quantile(
        top + (1 - u) * (schedule_.survival(range.low) - top));
  }
  return std::clamp(sigma, range.low, range.high);
}

double Partition::mass(int64_t block) const {
  const Interval own = interval(block);
  const double by_survival =
      schedule_.survival(own.low) - schedule_.survival(own.high);
  const double by_cdf = schedule_.cdf(own.high) - schedule_.cdf(own.low);
  return schedule_.cdf(own.low) > 0.5 ? by_survival : by_cdf;
}

}  // namespace dblocks::noise
