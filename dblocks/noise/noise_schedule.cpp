// SPDX-License-Identifier: Apache-2.0
#include "dblocks/noise/noise_schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "dblocks/core/error.h"

namespace dblocks::noise {
namespace {

/// A first guess for the quantile of p in (0, 1/2): the tail expansion
/// z ~ -sqrt(t - ln t), good to a few per cent; Newton does the rest.
double guess_quantile(double p) {
  const double t = -2 * std::log(p) - std::log(2 * std::numbers::pi);
  return t > 2 ? -std::sqrt(t - std::log(t)) : 2.5 * (p - 0.5);
}

// The untruncated probability between two points, as the difference of the
// tail that both are nearer to.
double normal_between(double low, double high) {
  return low > 0 ? normal_survival(low) - normal_survival(high)
                 : normal_cdf(high) - normal_cdf(low);
}

}  // namespace

double normal_cdf(double z) {
  return 0.5 * std::erfc(-z / std::numbers::sqrt2);
}

double normal_survival(double z) {
  return 0.5 * std::erfc(z / std::numbers::sqrt2);
}

double normal_quantile(double p) {
  if (p <= 0 || p >= 1) {
    return (p <= 0 ? -1 : 1) * std::numeric_limits<double>::infinity();
  }
  if (p > 0.5) {
    return -normal_quantile(1 - p);
  }
  // Halley's method on ln cdf, which is nearly quadratic and concave: it
  // converges from any start, cubically near the root.
  double z = guess_quantile(p);
  for (int i = 0; i < 12; ++i) {
    const double cdf = normal_cdf(z);
    const double density =
        std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
    const double error = std::log(cdf / p);
    const double slope = density / cdf;
    const double curvature = -slope * (z + slope);
    const double step =
        2 * error * slope / (2 * slope * slope - error * curvature);
    z -= step;
    if (std::abs(step) <= 1e-15 * (1 + std::abs(z))) {
      break;
    }
  }
  return z;
}

void visit_fields(FieldVisitor& visitor, NoiseOptions& options) {
  visitor.field({"preset", "",
                 "Where the noise is placed: published (-1.2, 1.2), wide "
                 "(0.4, 1.0), or custom: mean and spread as given."},
                options.preset);
  visitor.field({"mean", "ln sigma", "Mean of ln sigma; preset custom only."},
                options.mean);
  visitor.field({"spread", "ln sigma",
                 "Standard deviation of ln sigma; preset custom only."},
                options.spread);
  visitor.field({"sigma_min", "sigma", "Least noise."}, options.sigma_min);
  visitor.field({"sigma_max", "sigma", "Most noise; where the chain starts."},
                options.sigma_max);
  visitor.field({"sigma_data", "sigma",
                 "Standard deviation of the clean target that the "
                 "preconditioning assumes."},
                options.sigma_data);
}

NoiseOptions resolve(NoiseOptions options) {
  if (options.preset == NoisePreset::kPublished) {
    options.mean = -1.2;
    options.spread = 1.2;
  } else if (options.preset == NoisePreset::kWide) {
    options.mean = 0.4;
    options.spread = 1.0;
  }
  return options;
}

void validate(const NoiseOptions& o) {
  DBLOCKS_CHECK(std::isfinite(o.mean), ConfigError,
                "[noise] expected noise.mean to be finite, found {}", o.mean);
  DBLOCKS_CHECK(o.spread > 0 && std::isfinite(o.spread), ConfigError,
                "[noise] expected noise.spread above 0, found {}", o.spread);
  DBLOCKS_CHECK(o.sigma_min > 0 && std::isfinite(o.sigma_min), ConfigError,
                "[noise] expected noise.sigma_min above 0, found {}",
                o.sigma_min);
  DBLOCKS_CHECK(o.sigma_max > o.sigma_min && std::isfinite(o.sigma_max),
                ConfigError,
                "[noise] expected noise.sigma_max above noise.sigma_min ({}), "
                "found {}",
                o.sigma_min, o.sigma_max);
  DBLOCKS_CHECK(o.sigma_data > 0 && std::isfinite(o.sigma_data), ConfigError,
                "[noise] expected noise.sigma_data above 0, found {}",
                o.sigma_data);
  const double lowest = (std::log(o.sigma_min) - o.mean) / o.spread;
  const double highest = (std::log(o.sigma_max) - o.mean) / o.spread;
  DBLOCKS_CHECK(lowest < 8 && highest > -8, ConfigError,
                "[noise] expected noise.mean near the range [{}, {}] of sigma, "
                "found {} with a spread of {}",
                o.sigma_min, o.sigma_max, o.mean, o.spread);
}

LogNormalSchedule::LogNormalSchedule(const NoiseOptions& options)
    : options_(resolve(options)) {
  validate(options_);
  const double lowest = standardise(options_.sigma_min);
  const double highest = standardise(options_.sigma_max);
  below_ = normal_cdf(lowest);
  above_ = normal_survival(highest);
  mass_ = normal_between(lowest, highest);
}

double LogNormalSchedule::standardise(double sigma) const {
  return (std::log(sigma) - options_.mean) / options_.spread;
}

double LogNormalSchedule::probability(double low, double high) const {
  return normal_between(standardise(low), standardise(high)) / mass_;
}

double LogNormalSchedule::cdf(double sigma) const {
  if (sigma <= options_.sigma_min) return 0;
  if (sigma >= options_.sigma_max) return 1;
  return probability(options_.sigma_min, sigma);
}

double LogNormalSchedule::survival(double sigma) const {
  if (sigma <= options_.sigma_min) return 1;
  if (sigma >= options_.sigma_max) return 0;
  return probability(sigma, options_.sigma_max);
}

double LogNormalSchedule::log_density(double sigma) const {
  if (sigma < options_.sigma_min || sigma > options_.sigma_max) return 0;
  const double z = standardise(sigma);
  return std::exp(-z * z / 2) /
         (std::sqrt(2 * std::numbers::pi) * options_.spread * mass_);
}

double LogNormalSchedule::quantile(double q) const {
  DBLOCKS_ASSERT(q >= 0 && q <= 1, "quantile of {}", q);
  return quantile_at(q, 1 - q);
}

double LogNormalSchedule::survival_quantile(double s) const {
  DBLOCKS_ASSERT(s >= 0 && s <= 1, "survival quantile of {}", s);
  return quantile_at(1 - s, s);
}

// Reads q below the median of the untruncated normal and s above it: there the
// other one has lost its digits.
double LogNormalSchedule::quantile_at(double q, double s) const {
  if (q == 0) return options_.sigma_min;
  if (s == 0) return options_.sigma_max;
  const double below = below_ + q * mass_;
  const double z = below <= 0.5 ? normal_quantile(below)
                                : -normal_quantile(above_ + s * mass_);
  return std::clamp(std::exp(options_.mean + options_.spread * z),
                    options_.sigma_min, options_.sigma_max);
}

}  // namespace dblocks::noise
