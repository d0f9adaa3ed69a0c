// SPDX-License-Identifier: Apache-2.0
// The distribution of sigma in training: log-normal, truncated to a range.
// Everything here is double precision; the ends of the range are exact.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dblocks/core/fields.h"

namespace dblocks::noise {

/// Where the noise is placed.
enum class NoisePreset {
  kPublished,  ///< ln sigma ~ N(-1.2, 1.2^2), as for images
  kWide,       ///< ln sigma ~ N(+0.4, 1.0^2): where a label is really hidden
  kCustom,     ///< mean and spread as given
};

inline constexpr auto kNoisePresetNames = std::to_array<EnumName<NoisePreset>>(
    {{NoisePreset::kPublished, "published"},
     {NoisePreset::kWide, "wide"},
     {NoisePreset::kCustom, "custom"}});
inline auto enum_names(NoisePreset) {
  return std::span(kNoisePresetNames);
}

/// *Units*: sigma in units of the data's own scale.
struct NoiseOptions {
  NoisePreset preset = NoisePreset::kPublished;
  /// Mean of ln sigma. Only with preset = custom.
  double mean = -1.2;
  /// Standard deviation of ln sigma. Only with preset = custom.
  double spread = 1.2;
  /// Least and greatest sigma; the distribution is cut there.
  double sigma_min = 0.002;
  double sigma_max = 80;
  /// Standard deviation of the clean target that the preconditioning assumes.
  double sigma_data = 0.5;
};

void visit_fields(FieldVisitor& visitor, NoiseOptions& options);

/// Puts the values of a preset in; custom keeps what is given.
NoiseOptions resolve(NoiseOptions options);

/// *Errors*: ConfigError naming the key that is out of range.
void validate(const NoiseOptions& options);

/// ln sigma ~ N(mean, spread^2), truncated to [sigma_min, sigma_max].
/// *Source*: Shing et al. 2026, arXiv 2506.14202, section 3.3; the untruncated
/// distribution is that of Karras et al. 2022, arXiv 2206.00364.
class LogNormalSchedule {
 public:
  /// Resolves the preset, so that resolved and unresolved options mean the
  /// same. *Errors*: as validate().
  explicit LogNormalSchedule(const NoiseOptions& options);

  /// Probability of less noise than sigma; 0 and 1 at the ends of the range and
  /// outside it.
  double cdf(double sigma) const;
  /// 1 - cdf(sigma), accurate where that is small.
  double survival(double sigma) const;
  /// Density of ln sigma; 0 outside the range.
  double log_density(double sigma) const;

  /// The sigma with cdf(sigma) = q. Exact at q = 0 and q = 1. Requires:
  /// 0 <= q <= 1.
  double quantile(double q) const;
  /// The sigma with survival(sigma) = s; accurate for small s. Exact at s = 0
  /// and s = 1. Requires: 0 <= s <= 1.
  double survival_quantile(double s) const;

  /// The options with the preset resolved.
  const NoiseOptions& options() const { return options_; }

 private:
  double standardise(double sigma) const;
  double probability(double low, double high) const;
  double quantile_at(double q, double s) const;

  NoiseOptions options_;
  // Untruncated probabilities below sigma_min, above sigma_max and between.
  double below_, above_, mass_;
};

/// Standard normal distribution function and its complement.
double normal_cdf(double z);
double normal_survival(double z);
/// Inverse of normal_cdf to about 1e-15 relative for p in (0, 1/2], by symmetry
/// above; infinite at 0 and 1.
double normal_quantile(double p);

}  // namespace dblocks::noise
