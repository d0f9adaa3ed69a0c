// SPDX-License-Identifier: Apache-2.0
// The tree of options as a flat list of dotted keys and values, made from the
// field lists of core/fields.h. Reading, dumping, explaining and comparing
// recipes all work on this list and so know every key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "dblocks/config/run_config.h"

namespace dblocks::config {

/// One of several names: the value of an enum.
struct Choice {
  std::vector<std::string_view> names;
  size_t index = 0;

  std::string_view name() const { return names[index]; }
  bool operator==(const Choice&) const = default;
};

/// The value of a field. Which alternative it holds is the field's type.
using FieldValue = std::variant<bool,
                                int64_t,
                                double,
                                std::string,
                                std::vector<int64_t>,
                                std::vector<double>,
                                Choice>;

/// One key of a recipe.
struct Field {
  std::string key;    ///< dotted, for instance "optim.learning_rate"
  std::string table;  ///< the key without its last part; "" at the top
  std::string_view unit;
  std::string_view help;
  FieldValue value;
  std::string_view zero_word;  ///< see FieldInfo
};

/// "learning_rate" of "optim.learning_rate".
inline std::string_view last_part(std::string_view key) {
  return key.substr(key.rfind('.') + 1);
}

/// One table of a recipe.
struct Table {
  std::string key;
  std::string_view help;
};

/// Every field of a config, in the order of a recipe.
struct FieldList {
  std::vector<Field> fields;
  std::vector<Table> tables;

  /// The field of that key; null if there is none.
  const Field* find(std::string_view key) const;
  Field* find(std::string_view key);
  /// Whether `key` names a table.
  bool has_table(std::string_view key) const;
};

/// The fields of `config` with their present values.
FieldList list_fields(const RunConfig& config);

/// The config that has the values of `list`. Requires: `list` came from
/// list_fields(); every value still has its type.
RunConfig config_of(const FieldList& list);

/// A value as recipes write it; read again it is the same value, to the bit.
std::string to_toml(const FieldValue& value);

/// Name of a value's type in messages, for instance "an integer".
std::string_view type_name(const FieldValue& value);

}  // namespace dblocks::config
