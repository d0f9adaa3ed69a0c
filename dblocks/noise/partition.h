// SPDX-License-Identifier: Apache-2.0
// The one place that knows which block owns which sigma.
//
// Block 0 holds the first layers and the noisiest interval; block B - 1 the
// last layers and the cleanest. Boundaries are double precision, never rounded;
// a boundary belongs to the block of less noise below it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dblocks/core/fields.h"
#include "dblocks/noise/noise_schedule.h"

namespace dblocks::noise {

/// How the noise axis is cut.
enum class PartitionKind {
  kEqualProbability,  ///< every interval is drawn equally often
  kLogUniform,        ///< equal steps of ln sigma
  kLinear,            ///< equal steps of sigma
  kListed,            ///< boundaries as given
};

inline constexpr auto kPartitionKindNames =
    std::to_array<EnumName<PartitionKind>>(
        {{PartitionKind::kEqualProbability, "equal_probability"},
         {PartitionKind::kLogUniform, "log_uniform"},
         {PartitionKind::kLinear, "linear"},
         {PartitionKind::kListed, "listed"}});
inline auto enum_names(PartitionKind) {
  return std::span(kPartitionKindNames);
}

struct PartitionOptions {
  PartitionKind kind = PartitionKind::kEqualProbability;
  /// All B + 1 boundaries, ascending, from sigma_min to sigma_max; only with
  /// kind = listed.
  std::vector<double> boundaries = {};
  /// Share of an interval's log-width that training adds on each side.
  double overlap = 0.05;
};

void visit_fields(FieldVisitor& visitor, PartitionOptions& options);

/// A range of sigma.
struct Interval {
  double low = 0;
  double high = 0;
};

/// The cut of the noise axis into one interval per block.
/// *Source*: Shing et al. 2026, arXiv 2506.14202, section 3.3 and appendix C.
class Partition {
 public:
  /// *Errors*: ConfigError for num_blocks < 1, an overlap that is negative or
  /// not finite, and listed boundaries of the wrong number, order or ends.
  Partition(const NoiseOptions& noise,
            const PartitionOptions& options,
            int64_t num_blocks);

  int64_t num_blocks() const {
    return static_cast<int64_t>(boundaries_.size()) - 1;
  }

  /// The interval that block `block` owns at inference: (low, high], closed
  /// below too for the last block.
  Interval interval(int64_t block) const;

  /// The interval widened by the overlap, clamped to the range of sigma: what
  /// the block trains on. The published code clamps; the paper is silent.
  Interval training_interval(int64_t block) const;

  /// The block that owns sigma; outside the range, the nearest.
  int64_t block_of(double sigma) const;

  /// The sigma at fraction `u` of the probability of the training interval of
  /// `block`: u uniform on [0, 1) gives the restricted log-normal.
  double sample_sigma(int64_t block, double u) const;

  /// Probability of the block's own interval.
  double mass(int64_t block) const;

  /// B + 1 boundaries in ascending order, the ends exact.
  const std::vector<double>& boundaries() const { return boundaries_; }

  const LogNormalSchedule& schedule() const { return schedule_; }

 private:
  LogNormalSchedule schedule_;
  double overlap_;
  std::vector<double> boundaries_;
};

}  // namespace dblocks::noise
