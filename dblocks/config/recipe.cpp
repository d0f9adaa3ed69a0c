// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/recipe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "dblocks/config/field_list.h"
#include "dblocks/config/suggest.h"
#include "dblocks/config/toml_reader.h"
#include "dblocks/core/error.h"

namespace dblocks::config {

namespace {

/// The known key or table that an unknown one was probably meant to be.
std::string suggestion(const FieldList& list, std::string_view key) {
  std::vector<std::string> known;
  for (const Field& field : list.fields) {
    if (last_part(field.key) == last_part(key)) {
      return field.key;
    }
    known.push_back(field.key);
  }
  for (const Table& table : list.tables) {
    known.push_back(table.key);
  }
  return nearest(key, known);
}

[[noreturn]] void throw_unknown_key(const FieldList& list,
                                    std::string_view key,
                                    std::string_view where) {
  throw ConfigError(
      fmt::format("[config] expected a known key, found {} ({}). Hint: the "
                  "nearest known key is {}; `dblocks config --explain` lists "
                  "all",
                  shown(key), where, suggestion(list, key)));
}

[[noreturn]] void throw_wrong_type(const Field& field,
                                   std::string_view found,
                                   std::string_view where) {
  throw ConfigError(fmt::format("[config] expected {} for {}, found {} ({})",
                                type_name(field.value), field.key, found,
                                where));
}

Choice choice_named(const Field& field,
                    std::string_view name,
                    std::string_view where) {
  Choice choice = std::get<Choice>(field.value);
  const auto found = std::ranges::find(choice.names, name);
  if (found == choice.names.end()) {
    const std::vector<std::string> names(choice.names.begin(),
                                         choice.names.end());
    throw ConfigError(fmt::format(
        "[config] expected one of {} for {}, found {} ({}). Hint: did you "
        "mean {}?",
        fmt::join(names, ", "), field.key, shown(name), where,
        nearest(name, names)));
  }
  choice.index = static_cast<size_t>(found - choice.names.begin());
  return choice;
}

std::vector<double> as_doubles(const std::vector<int64_t>& integers) {
  return {integers.begin(), integers.end()};
}

/// The value of `entry` as the type of `field`.
FieldValue converted(const Field& field,
                     const TomlEntry& entry,
                     std::string_view where) {
  if (entry.value) {
    const FieldValue& value = *entry.value;
    if (value.index() == field.value.index()) {
      return value;
    }
    if (std::holds_alternative<Choice>(field.value)) {
      if (const auto* name = std::get_if<std::string>(&value)) {
        return choice_named(field, *name, where);
      }
    }
    if (const auto* word = std::get_if<std::string>(&value);
        word != nullptr && !word->empty() && *word == field.zero_word) {
      return int64_t{0};
    }
    if (std::holds_alternative<double>(field.value)) {
      if (const auto* integer = std::get_if<int64_t>(&value)) {
        return static_cast<double>(*integer);
      }
    }
    if (std::holds_alternative<std::vector<double>>(field.value)) {
      if (const auto* integers = std::get_if<std::vector<int64_t>>(&value)) {
        return as_doubles(*integers);
      }
    }
  }
  throw_wrong_type(field, entry.found, where);
}

/// Before all other keys: a newer format may hold keys unknown to this one.
void check_format(const std::vector<TomlEntry>& entries,
                  std::string_view source) {
  for (const TomlEntry& entry : entries) {
    if (entry.key != "format" || !entry.value) {
      continue;
    }
    const auto* format = std::get_if<int64_t>(&*entry.value);
    DBLOCKS_CHECK(format == nullptr || *format <= kRecipeFormat, ConfigError,
                  "[config] found format {}, this program reads format {} "
                  "({}:{}). Hint: use the release of dblocks that wrote it",
                  *format, kRecipeFormat, source, entry.line);
  }
}

void apply_entry(FieldList& list,
                 const TomlEntry& entry,
                 std::string_view where) {
  if (entry.is_table && list.has_table(entry.key)) {
    return;
  }
  DBLOCKS_CHECK(entry.is_table || !list.has_table(entry.key), ConfigError,
                "[config] expected a table for {}, found {} ({}). Hint: set "
                "its keys one by one, as {}.KEY",
                entry.key, entry.found, where, entry.key);
  Field* field = list.find(entry.key);
  if (field == nullptr) {
    throw_unknown_key(list, entry.key, where);
  }
  field->value = converted(*field, entry, where);
}

/// The value written on a command line, read with its field's type in mind.
TomlEntry command_line_value(const Field& field, std::string_view text) {
  const bool is_text = std::holds_alternative<std::string>(field.value) ||
                       std::holds_alternative<Choice>(field.value) ||
                       (!text.empty() && text == field.zero_word);
  const bool is_quoted = text.starts_with('"') || text.starts_with('\'');
  std::optional<TomlEntry> entry;
  if (is_text && !is_quoted) {
    // A bare word; through the reader so that its UTF-8 is checked too.
    entry = read_toml_value(to_toml(std::string(text)));
  } else {
    entry = read_toml_value(text);
  }
  if (entry) {
    return *entry;
  }
  TomlEntry unread;
  unread.found = shown(text);
  return unread;
}

std::string read_file(const std::filesystem::path& path) {
  std::error_code error;
  DBLOCKS_CHECK(
      std::filesystem::is_regular_file(path, error), ConfigError,
      "[config] expected a recipe file at {}, found {}", shown(path.string()),
      std::filesystem::exists(path, error) ? "something other than a file"
                                           : "nothing there");
  std::ifstream stream(path, std::ios::binary);
  // One byte above the limit is enough for the reader to refuse the file.
  std::string text(kMaxRecipeBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  DBLOCKS_CHECK(stream.is_open() && !stream.bad(), ConfigError,
                "[config] expected a readable recipe at {}, found one that "
                "cannot be read",
                shown(path.string()));
  text.resize(static_cast<size_t>(stream.gcount()));
  return text;
}

}  // namespace

std::string describe(const Origin& origin) {
  switch (origin.kind) {
    case OriginKind::kDefault:
      return "default";
    case OriginKind::kSet:
      return "--set";
    case OriginKind::kResolved:
      return "resolved: " + origin.detail;
    case OriginKind::kRecipe:
    case OriginKind::kFlag:
      break;
  }
  return origin.detail;
}

LoadedConfig default_config() {
  LoadedConfig loaded;
  for (const Field& field : list_fields(loaded.config).fields) {
    loaded.origins[field.key] = {};
  }
  return loaded;
}

LoadedConfig parse_recipe(std::string_view text,
                          std::string_view source,
                          std::span<const std::string> overrides) {
  LoadedConfig loaded = default_config();
  FieldList list = list_fields(loaded.config);
  const std::vector<TomlEntry> entries = read_toml(text, source);
  check_format(entries, source);
  for (const TomlEntry& entry : entries) {
    const std::string where = fmt::format("{}:{}", source, entry.line);
    apply_entry(list, entry, where);
    if (!entry.is_table) {
      loaded.origins[entry.key] = {OriginKind::kRecipe, where};
    }
  }
  loaded.config = config_of(list);
  for (const std::string& item : overrides) {
    const size_t equals = item.find('=');
    DBLOCKS_CHECK(equals != std::string::npos, ConfigError,
                  "[config] expected key=value after --set, found {}",
                  shown(item));
    override_value(loaded, item.substr(0, equals), item.substr(equals + 1),
                   {OriginKind::kSet, ""});
  }
  return loaded;
}

LoadedConfig load_recipe(const std::filesystem::path& path,
                         std::span<const std::string> overrides) {
  return parse_recipe(read_file(path), path.string(), overrides);
}

void override_value(LoadedConfig& loaded,
                    std::string_view key,
                    std::string_view value,
                    const Origin& origin) {
  FieldList list = list_fields(loaded.config);
  Field* field = list.find(key);
  const std::string where =
      origin.kind == OriginKind::kSet ? "--set" : describe(origin);
  DBLOCKS_CHECK(field != nullptr || !list.has_table(key), ConfigError,
                "[config] expected a key, found the table {} ({}). Hint: set "
                "its keys one by one, as {}.KEY=VALUE",
                key, where, key);
  if (field == nullptr) {
    throw_unknown_key(list, key, where);
  }
  field->value = converted(*field, command_line_value(*field, value), where);
  loaded.config = config_of(list);
  loaded.origins[field->key] = origin;
}

}  // namespace dblocks::config
