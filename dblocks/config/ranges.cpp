// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/ranges.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "dblocks/core/error.h"

namespace dblocks::config {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// Steps and samples key random streams, which hold 32 bits of each.
constexpr double kMaxCount = 4294967295.0;

constexpr Range closed(std::string_view key, double low, double high) {
  return {.key = key, .low = low, .high = high};
}
constexpr Range at_least(std::string_view key, double low) {
  return {.key = key, .low = low};
}
constexpr Range above(std::string_view key, double low) {
  return {.key = key, .low = low, .low_is_open = true};
}
constexpr Range share(std::string_view key) {
  return {.key = key, .low = 0, .high = 1, .high_is_open = true};
}

// The upper ends of sizes are far above sense; they keep products of sizes
// within 64 bits.
constexpr auto kRanges = std::to_array<Range>({
    closed("format", kRecipeFormat, kRecipeFormat),
    at_least("seed", 0),
    closed("data.batch_size", 1, 1e6),
    closed("data.train_samples", 0, kMaxCount),
    closed("data.test_samples", 0, kMaxCount),
    closed("data.workers", 0, 256),
    closed("data.prefetch", 1, 4096),
    closed("data.image_size", 0, 16384),
    closed("data.image_channels", 1, 3),
    at_least("data.mean", -kInfinity),
    above("data.std", 0),
    closed("data.augment.crop_padding", 0, 1024),
    closed("data.augment.rand_augment_ops", 0, 14),
    closed("data.augment.rand_augment_magnitude", 0, 30),
    closed("model.num_layers", 1, 4096),
    closed("model.width", 1, 65536),
    closed("model.heads", 1, 65536),
    closed("model.mlp_width", 1, 1 << 20),
    closed("model.patch", 1, 4096),
    share("model.dropout"),
    above("model.layer_norm_eps", 0),
    closed("model.gate_init", -100, 100),
    closed("model.sigma_embedding_width", 0, 65536),
    closed("dit.num_layers", 1, 4096),
    closed("dit.width", 4, 65536),
    closed("dit.heads", 1, 65536),
    closed("dit.patch", 2, 8),
    at_least("noise.mean", -kInfinity),
    above("noise.spread", 0),
    above("noise.sigma_min", 0),
    above("noise.sigma_max", 0),
    above("noise.sigma_data", 0),
    above("partition.boundaries", 0),
    at_least("partition.overlap", 0),
    closed("blocks.num_blocks", 1, 4096),
    closed("blocks.layers_per_block", 1, 4096),
    closed("classification.anchor", 0, 1),
    share("classification.label_smoothing"),
    closed("readout.chain_steps", 0, 1e6),
    closed("readout.draws", 1, 1e6),
    closed("readout.batch_size", 1, 1e6),
    share("generation.label_dropout"),
    closed("sampling.steps", 1, 1e6),
    closed("sampling.steps_per_block", 1, 1e6),
    above("sampling.rho", 0),
    at_least("sampling.guidance", 0),
    closed("sampling.guidance_channels", 0, 16),
    at_least("sampling.guidance_interval", 0),
    at_least("sampling.churn", 0),
    at_least("sampling.churn_interval", 0),
    at_least("sampling.churn_noise", 0),
    closed("evaluation.samples", 2, 1e6),
    at_least("evaluation.seed", 0),
    closed("evaluation.neighbours", 1, 1000),
    closed("evaluation.noise_levels", 0, 1000),
    above("optim.learning_rate", 0),
    at_least("optim.min_learning_rate", 0),
    at_least("optim.weight_decay", 0),
    share("optim.beta1"),
    share("optim.beta2"),
    above("optim.eps", 0),
    at_least("optim.clip_norm", 0),
    closed("optim.warmup_steps", 0, kMaxCount),
    share("optim.ema_decay"),
    share("optim.ema_second_decay"),
    closed("train.steps", 0, kMaxCount),
    closed("train.epochs", 0, 1e6),
    closed("train.steps_per_visit", 0, kMaxCount),
    closed("train.micro_batch", 0, 1e6),
    closed("train.log_every_steps", 1, kMaxCount),
    closed("checkpoint.every_steps", 1, kMaxCount),
    closed("checkpoint.keep", 2, 1e6),
    closed("report.histograms_every_steps", 0, kMaxCount),
    closed("report.previews_every_steps", 0, kMaxCount),
});

/// The numbers of a value, one after the other; none for other types.
std::vector<double> numbers_of(const FieldValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) {
    return {static_cast<double>(*integer)};
  }
  if (const auto* number = std::get_if<double>(&value)) {
    return {*number};
  }
  if (const auto* integers = std::get_if<std::vector<int64_t>>(&value)) {
    return {integers->begin(), integers->end()};
  }
  if (const auto* numbers = std::get_if<std::vector<double>>(&value)) {
    return *numbers;
  }
  return {};
}

}  // namespace

bool Range::contains(double value) const {
  return std::isfinite(value) && (low_is_open ? value > low : value >= low) &&
         (high_is_open ? value < high : value <= high);
}

std::span<const Range> ranges() {
  return kRanges;
}

const Range* find_range(std::string_view key) {
  const auto found = std::ranges::find(kRanges, key, &Range::key);
  return found == kRanges.end() ? nullptr : &*found;
}

std::string describe(const Range& range) {
  if (range.low == range.high) {
    return fmt::format("{}", range.low);
  }
  if (std::isfinite(range.low) && std::isfinite(range.high)) {
    return fmt::format("in {}{}, {}{}", range.low_is_open ? "(" : "[",
                       range.low, range.high, range.high_is_open ? ")" : "]");
  }
  if (std::isfinite(range.low)) {
    return fmt::format("{} {}", range.low_is_open ? "above" : "at least",
                       range.low);
  }
  return "finite";
}

void check_ranges(const FieldList& list) {
  for (const Field& field : list.fields) {
    const Range* range = find_range(field.key);
    for (const double number : numbers_of(field.value)) {
      DBLOCKS_ASSERT(range != nullptr, "no range for {}", field.key);
      DBLOCKS_CHECK(range->contains(number), ConfigError,
                    "[config] expected {} {}, found {}", field.key,
                    describe(*range), to_toml(field.value));
    }
  }
}

}  // namespace dblocks::config
