// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/sweep_table.h"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <variant>

#include "dblocks/config/toml_reader.h"
#include "dblocks/core/error.h"
#include "dblocks/core/file_system.h"

namespace dblocks::config {
namespace {

constexpr std::string_view kVariants = "variants.";
constexpr size_t kMaxNameBytes = 64;

/// The value of an entry as the type that its key has.
template <class T>
T value_of(const TomlEntry& entry,
           const std::string& source,
           std::string_view expected) {
  const T* value = entry.value ? std::get_if<T>(&*entry.value) : nullptr;
  DBLOCKS_CHECK(value != nullptr, ConfigError,
                "[sweep] {}:{}: expected {} for {}, found {}", source,
                entry.line, expected, entry.key, entry.found);
  return *value;
}

std::vector<std::string> words_of(const TomlEntry& entry,
                                  const std::string& source) {
  std::istringstream text(value_of<std::string>(entry, source, "a string"));
  std::vector<std::string> words;
  for (std::string word; text >> word;) {
    DBLOCKS_CHECK(word.find('=') != std::string::npos, ConfigError,
                  "[sweep] {}:{}: expected key=value, found {} in {}", source,
                  entry.line, shown(word), entry.key);
    words.push_back(word);
  }
  return words;
}

SweepVariant variant_of(const TomlEntry& entry, const std::string& source) {
  const std::string name = entry.key.substr(kVariants.size());
  const bool is_plain = !name.empty() && name.size() <= kMaxNameBytes &&
                        std::ranges::all_of(name, [](unsigned char c) {
                          return std::isalnum(c) != 0 || c == '_' || c == '-';
                        });
  DBLOCKS_CHECK(is_plain, ConfigError,
                "[sweep] {}:{}: expected names of letters, digits, _ and - in "
                "[variants], found {}",
                source, entry.line, shown(name));
  return {name, words_of(entry, source)};
}

void add(const TomlEntry& entry, const std::string& source, SweepTable& table) {
  if (entry.key == "recipe") {
    table.recipe = value_of<std::string>(entry, source, "a string");
  } else if (entry.key == "seeds") {
    table.seeds =
        value_of<std::vector<int64_t>>(entry, source, "a list of integers");
  } else if (entry.key == "set") {
    table.overrides = words_of(entry, source);
  } else if (entry.key == "evaluate") {
    table.evaluation = words_of(entry, source);
  } else if (entry.key.starts_with(kVariants)) {
    table.variants.push_back(variant_of(entry, source));
  } else {
    DBLOCKS_CHECK(entry.is_table && entry.key == "variants", ConfigError,
                  "[sweep] {}:{}: expected recipe, seeds, set, evaluate or "
                  "[variants], found {}",
                  source, entry.line, shown(entry.key));
  }
}

}  // namespace

SweepTable load_sweep_table(const std::filesystem::path& path) {
  const std::string source = path.string();
  std::string text;
  try {
    text = real_file_system().read_file(path, kMaxRecipeBytes);
  } catch (const CheckpointError& error) {
    throw ConfigError(error.what());
  }
  SweepTable table;
  for (const TomlEntry& entry : read_toml(text, source)) {
    add(entry, source, table);
  }
  DBLOCKS_CHECK(
      !table.recipe.empty() && !table.variants.empty() && !table.seeds.empty(),
      ConfigError,
      "[sweep] {}: expected a recipe, at least one seed and at least "
      "one of [variants], found a table without",
      source);
  table.recipe = path.parent_path() / table.recipe;
  return table;
}

}  // namespace dblocks::config
