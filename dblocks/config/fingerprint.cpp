// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/fingerprint.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "dblocks/config/field_list.h"
#include "dblocks/core/hash.h"

namespace dblocks::config {

namespace {

/// Keys, or whole tables (with a dot at the end), that never change weights, or
/// by the rounding of sums alone.
constexpr auto kWithoutEffect =
    std::to_array<std::string_view>({"name",
                                     "noise.preset",
                                     "data.root",
                                     "data.test_samples",
                                     "data.workers",
                                     "data.prefetch",
                                     "data.on_bad_sample",
                                     "classification.bridge",
                                     "classification.normalised_bridge_table",
                                     "readout.",
                                     "sampling.",
                                     "evaluation.",
                                     "optim.ema_evaluate",
                                     "train.recompute",
                                     "train.micro_batch",
                                     "train.log_every_steps",
                                     "train.cuda_graphs",
                                     "train.on_bad_step",
                                     "checkpoint.",
                                     "report."});

/// Keys, or whole tables, that came after the first runs: at their default they
/// say nothing, so that older runs keep their fingerprint.
constexpr auto kAddedLater = std::to_array<std::string_view>(
    {"task", "data.image_size", "data.image_channels", "dit.", "generation.",
     "blocks.ownership.label_embedding", "optim.moments", "optim.weights",
     "optim.ema_second_decay"});

/// Keys of the order of blocks.
constexpr auto kOrder = std::to_array<std::string_view>(
    {"train.schedule", "train.steps_per_visit"});

template <size_t N>
bool is_in(const std::array<std::string_view, N>& entries,
           std::string_view key) {
  return std::ranges::any_of(entries, [&](std::string_view entry) {
    return entry.ends_with('.') ? key.starts_with(entry) : key == entry;
  });
}

}  // namespace

bool changes_weights(const RunConfig& config, const std::string& key) {
  if (std::ranges::find(kOrder, key) != kOrder.end()) {
    return blocks::has_shared_parts(config.blocks.ownership);
  }
  return !is_in(kWithoutEffect, key);
}

std::string fingerprint(const RunConfig& config) {
  std::string text;
  const FieldList defaults = list_fields(RunConfig{});
  for (const Field& field : list_fields(config).fields) {
    const bool says_nothing = is_in(kAddedLater, field.key) &&
                              field.value == defaults.find(field.key)->value;
    if (changes_weights(config, field.key) && !says_nothing) {
      text += field.key + " = " + to_toml(field.value) + "\n";
    }
  }
  return hash_bytes(text).hex();
}

std::vector<Difference> differences(const RunConfig& first,
                                    const RunConfig& second) {
  const FieldList a = list_fields(first);
  const FieldList b = list_fields(second);
  std::vector<Difference> found;
  for (size_t i = 0; i < a.fields.size(); ++i) {
    const std::string& key = a.fields[i].key;
    // NaN aside, equal text and equal values are the same thing.
    const std::string value = to_toml(a.fields[i].value);
    const std::string other = to_toml(b.fields[i].value);
    if (value != other &&
        (changes_weights(first, key) || changes_weights(second, key))) {
      found.push_back({key, value, other});
    }
  }
  return found;
}

}  // namespace dblocks::config
