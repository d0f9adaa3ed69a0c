// SPDX-License-Identifier: Apache-2.0
// Turns TOML text into dotted keys and values. Recipes come from outside, so
// the text is taken for hostile: nothing in it exhausts memory or stack.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dblocks/config/field_list.h"

namespace dblocks::config {

/// Largest recipe that is read, in bytes.
inline constexpr size_t kMaxRecipeBytes = 1 << 20;

/// A key of a TOML document.
struct TomlEntry {
  std::string key;   ///< dotted
  int64_t line = 0;  ///< from 1
  bool is_table = false;
  /// Nothing for a table and for types that recipes do not use.
  std::optional<FieldValue> value;
  /// Type and, where short, value, for messages: `a string "abc"`.
  std::string found;
};

/// Every table and value of `text`, in the order of lines. `source` names the
/// text in messages. Lists of integers and of numbers keep their type; the
/// empty list is one of integers.
/// Errors: ConfigError, with the line, if `text` is above kMaxRecipeBytes, is
/// not valid TOML 1.0 in UTF-8, nests tables or lists too deeply or holds a
/// string over several lines.
std::vector<TomlEntry> read_toml(std::string_view text,
                                 std::string_view source);

/// `text` as a TOML value, for instance `3`, `[1, 2]` or `"abc"`; nothing if it
/// is none. Errors: ConfigError as read_toml(), syntax apart.
std::optional<TomlEntry> read_toml_value(std::string_view text);

/// `text` in quotes, control characters escaped and the middle of anything
/// long left out: fit for a one-line message.
std::string shown(std::string_view text);

}  // namespace dblocks::config
