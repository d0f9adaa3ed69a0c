// SPDX-License-Identifier: Apache-2.0
// Reads recipes. A value comes from the defaults, a recipe, `--set` or another
// flag of the program, the later one winning, and remembers which.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "dblocks/config/run_config.h"

namespace dblocks::config {

/// Where a value comes from.
enum class OriginKind { kDefault, kRecipe, kSet, kFlag, kResolved };

struct Origin {
  OriginKind kind = OriginKind::kDefault;
  /// `file:line` of a recipe, the name of a flag, or why a value was worked
  /// out; empty for defaults and --set.
  std::string detail;
};

/// An origin in words, for instance "recipes/debug_vit.toml:12",
/// "resolved: 3 epochs of 468 steps".
std::string describe(const Origin& origin);

/// A config and where each of its values comes from.
struct LoadedConfig {
  RunConfig config;
  /// By dotted key; holds every key of a config.
  std::map<std::string, Origin, std::less<>> origins;
};

/// Every default.
LoadedConfig default_config();

/// Reads the recipe at `path`, then applies `overrides`, each `key=value`, in
/// their order. Values of overrides are TOML; for a string or an enum a bare
/// word will do. An integer is taken where a number is asked for.
/// Errors: ConfigError if the file cannot be read or is not TOML, for an
/// unknown key (naming the nearest known one), for a value of another type and
/// for an enum's unknown name. Ranges are validate()'s business.
LoadedConfig load_recipe(const std::filesystem::path& path,
                         std::span<const std::string> overrides = {});

/// As load_recipe(), from text; `source` names it in messages and origins.
LoadedConfig parse_recipe(std::string_view text,
                          std::string_view source,
                          std::span<const std::string> overrides = {});

/// Sets one key from the command line, for instance "seed" to "3" because of
/// {OriginKind::kFlag, "--seed"}. Errors: as load_recipe() for overrides.
void override_value(LoadedConfig& loaded,
                    std::string_view key,
                    std::string_view value,
                    const Origin& origin);

}  // namespace dblocks::config
