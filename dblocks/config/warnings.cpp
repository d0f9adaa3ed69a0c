// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "dblocks/config/field_list.h"
#include "dblocks/config/validate.h"

namespace dblocks::config {

namespace {

using tasks::Method;

/// Keys, or whole tables (with a dot at the end), of denoising alone.
constexpr auto kDenoisingOnly = std::to_array<std::string_view>(
    {"noise.", "partition.", "blocks.ownership.", "model.label_input",
     "model.modulation", "model.gate_init", "model.sigma_embedding_width",
     "classification.loss_weight", "classification.bridge",
     "classification.normalised_bridge_table", "classification.target_table",
     "classification.anchor", "readout.chain_steps", "readout.draws"});

/// Those of classifying alone, and of generating images alone.
constexpr auto kClassificationOnly = std::to_array<std::string_view>(
    {"model.", "classification.", "readout.", "blocks.ownership.positions",
     "blocks.ownership.target_table"});
constexpr auto kGenerationOnly = std::to_array<std::string_view>(
    {"dit.", "generation.", "sampling.", "evaluation.",
     "blocks.ownership.label_embedding"});

template <size_t N>
bool is_in(const std::array<std::string_view, N>& entries,
           std::string_view key) {
  return std::ranges::any_of(entries, [&](std::string_view entry) {
    return entry.ends_with('.') ? key.starts_with(entry) : key == entry;
  });
}

/// Why `key` has no effect in `config`; "" if it has one.
std::string reason(const RunConfig& config, std::string_view key) {
  const Method method = config.method;
  const bool is_one_network =
      method == Method::kEndToEnd || method == Method::kEndToEndShallow;
  const bool generates = config.generates_images();
  if (generates ? is_in(kClassificationOnly, key)
                : is_in(kGenerationOnly, key)) {
    return fmt::format("task = {}", enum_name(config.kind));
  }
  const bool has_noise = generates && key.starts_with("noise.");
  if (method != Method::kDiffusionBlocks && !has_noise &&
      is_in(kDenoisingOnly, key)) {
    return fmt::format("method = {}", enum_name(method));
  }
  if (is_one_network && key == "train.schedule") {
    return fmt::format("method = {}, which has one network", enum_name(method));
  }
  if (method == Method::kEndToEnd && key == "blocks.layers_per_block") {
    return "method = end_to_end, which is not cut";
  }
  if (!config.sampling.steps_per_block.empty() &&
      (key == "sampling.steps" || key == "sampling.schedule")) {
    return "sampling.steps_per_block";
  }
  if (key == "train.steps_per_visit" &&
      config.train.schedule != train::TrainingSchedule::kAlternating) {
    return fmt::format("train.schedule = {}", enum_name(config.train.schedule));
  }
  if (key == "train.recompute" && method != Method::kEndToEnd &&
      config.blocks.num_blocks == config.model.num_layers) {
    return "blocks of one layer: a block's last layer is never run again";
  }
  if (key == "train.micro_batch" &&
      config.train.micro_batch >= config.data.batch_size) {
    return fmt::format("data.batch_size = {}", config.data.batch_size);
  }
  if (key == "optim.min_learning_rate" &&
      config.optim.schedule == optim::LearningRateSchedule::kConstant) {
    return "optim.schedule = constant";
  }
  if (key == "data.augment.rand_augment_magnitude" &&
      config.data.augment.rand_augment_ops == 0) {
    return "data.augment.rand_augment_ops = 0";
  }
  if ((key == "data.image_size" || key == "data.image_channels") &&
      config.data.dataset != "image_folder") {
    return fmt::format("data.dataset = {}", config.data.dataset);
  }
  return "";
}

void warn_about_ownership(const RunConfig& config,
                          std::vector<std::string>& lines) {
  const auto& ownership = config.blocks.ownership;
  if (config.method != Method::kDiffusionBlocks ||
      config.blocks.num_blocks == 1) {
    return;
  }
  if (!config.generates_images() &&
      ownership.target_table == blocks::Ownership::kPerBlock) {
    lines.emplace_back(
        "[config] blocks.ownership.target_table = per_block: every block "
        "learns embeddings of its own and misreads what the one before passes "
        "on");
  }
  if (blocks::has_shared_parts(ownership) &&
      config.train.schedule == train::TrainingSchedule::kSequential) {
    lines.emplace_back(
        "[config] shared parts (blocks.ownership) with train.schedule = "
        "sequential: each block's training undoes what the parts learned with "
        "the one before. Hint: random or alternating");
  }
}

}  // namespace

std::vector<std::string> warnings(const RunConfig& config) {
  std::vector<std::string> lines;
  const FieldList defaults = list_fields(RunConfig{});
  // The numbers behind a preset are not what was written.
  RunConfig written = config;
  if (written.noise.preset != noise::NoisePreset::kCustom) {
    written.noise.mean = noise::NoiseOptions{}.mean;
    written.noise.spread = noise::NoiseOptions{}.spread;
  }
  for (const Field& field : list_fields(written).fields) {
    const std::string why = reason(config, field.key);
    if (!why.empty() && field.value != defaults.find(field.key)->value) {
      lines.push_back(fmt::format("[config] {} = {} has no effect with {}",
                                  field.key, to_toml(field.value), why));
    }
  }
  warn_about_ownership(config, lines);
  return lines;
}

}  // namespace dblocks::config
