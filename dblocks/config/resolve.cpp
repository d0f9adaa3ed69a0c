// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/resolve.h"

#include <fmt/format.h>

#include "dblocks/config/validate.h"
#include "dblocks/core/error.h"

namespace dblocks::config {

namespace {

void mark(LoadedConfig& loaded, std::string_view key, std::string why) {
  loaded.origins[std::string(key)] = {OriginKind::kResolved, std::move(why)};
}

void resolve_steps(LoadedConfig& loaded, int64_t train_size) {
  auto& train = loaded.config.train;
  if (train.epochs == 0) {
    return;
  }
  const int64_t batch_size = loaded.config.data.batch_size;
  const int64_t steps_per_epoch = train_size / batch_size;
  DBLOCKS_CHECK(steps_per_epoch > 0, ConfigError,
                "[config] expected data.batch_size of at most the {} training "
                "images, found {}",
                train_size, batch_size);
  mark(loaded, "train.steps",
       fmt::format("{} epochs of {} steps", train.epochs, steps_per_epoch));
  mark(loaded, "train.epochs", "turned into train.steps");
  train.steps = train.epochs * steps_per_epoch;
  train.epochs = 0;
}

/// Sets one number of a preset, for instance "noise.preset = wide". A number
/// that was written down beside a preset that means another is a contradiction.
template <class Number>
void resolve_preset_value(LoadedConfig& loaded,
                          std::string_view key,
                          const std::string& preset,
                          Number preset_value,
                          Number& value) {
  const auto origin = loaded.origins.find(key);
  const bool is_written = origin != loaded.origins.end() &&
                          origin->second.kind != OriginKind::kDefault;
  DBLOCKS_CHECK(!is_written || value == preset_value, ConfigError,
                "[config] expected {} = {}, which {} stands for, found {} "
                "({}). Hint: {} = custom takes any",
                key, preset_value, preset, value, describe(origin->second),
                preset.substr(0, preset.find(' ')));
  if (!is_written) {
    mark(loaded, key, preset);
    value = preset_value;
  }
}

void resolve_noise(LoadedConfig& loaded) {
  auto& options = loaded.config.noise;
  if (options.preset == noise::NoisePreset::kCustom) {
    return;
  }
  const noise::NoiseOptions preset = noise::resolve(options);
  const std::string name =
      fmt::format("noise.preset = {}", enum_name(options.preset));
  resolve_preset_value(loaded, "noise.mean", name, preset.mean, options.mean);
  resolve_preset_value(loaded, "noise.spread", name, preset.spread,
                       options.spread);
}

void resolve_dit(LoadedConfig& loaded) {
  auto& options = loaded.config.dit;
  if (!loaded.config.generates_images() ||
      options.size == models::DitSize::kCustom) {
    return;
  }
  const models::DitOptions preset = models::resolve(options);
  const std::string name =
      fmt::format("dit.size = {}", enum_name(options.size));
  resolve_preset_value(loaded, "dit.num_layers", name, preset.num_layers,
                       options.num_layers);
  resolve_preset_value(loaded, "dit.width", name, preset.width, options.width);
  resolve_preset_value(loaded, "dit.heads", name, preset.heads, options.heads);
}

/// Defaults that depend on other keys. Only denoising uses them; elsewhere
/// they stay open.
void resolve_denoising(LoadedConfig& loaded) {
  auto& config = loaded.config;
  if (config.method != tasks::Method::kDiffusionBlocks ||
      config.generates_images()) {
    return;
  }
  if (config.model.sigma_embedding_width == 0) {
    config.model.sigma_embedding_width = config.model.width / 6;
    mark(loaded, "model.sigma_embedding_width", "model.width / 6");
  }
  if (config.readout.chain_steps == 0) {
    config.readout.chain_steps = config.blocks.num_blocks;
    mark(loaded, "readout.chain_steps", "blocks.num_blocks");
  }
}

}  // namespace

void resolve(LoadedConfig& loaded, int64_t train_size) {
  validate(loaded.config);
  resolve_steps(loaded, train_size);
  resolve_noise(loaded);
  resolve_dit(loaded);
  resolve_denoising(loaded);
  validate(loaded.config);
}

}  // namespace dblocks::config
