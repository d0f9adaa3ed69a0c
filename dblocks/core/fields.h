// SPDX-License-Identifier: Apache-2.0
// One list of fields per options struct. The same list feeds reading TOML,
// `--set a.b=c`, `dblocks config --explain`, docs/recipes.md and the dump saved
// with a run. A struct takes part by a function beside it:
//
//   void visit_fields(FieldVisitor& visitor, NoiseOptions& options) {
//     visitor.field({"mean", "", "Mean of ln(sigma)."}, options.mean);
//   }
//
// and an enum by a table of its names, which become the values in a recipe:
//
//   constexpr auto kPartitionKindNames =
//   std::to_array<EnumName<PartitionKind>>(
//       {{PartitionKind::kEqualProbability, "equal_probability"}, ...});
//   inline auto enum_names(PartitionKind) { return
//   std::span(kPartitionKindNames); }
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace dblocks {

/// What is known of a field besides its value.
struct FieldInfo {
  std::string_view key;   ///< the last part of the dotted key
  std::string_view unit;  ///< "" where the value has none
  std::string_view help;  ///< one sentence: meaning, special values, advice
  /// A word that recipes may write for the integer 0, "" if there is none.
  std::string_view zero_word;
};

/// One value of an enum and its name in recipes and logs.
template <class E>
struct EnumName {
  E value;
  std::string_view name;
};

/// The name of `value`. Requires: enum_names(E) lists every value.
template <class E>
std::string_view enum_name(E value) {
  for (const auto& entry : enum_names(E{})) {
    if (entry.value == value) {
      return entry.name;
    }
  }
  return "?";
}

/// Receives the fields of an options struct one by one; may read or replace
/// each value.
class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;

  virtual void field(const FieldInfo& info, bool& value) = 0;
  virtual void field(const FieldInfo& info, int64_t& value) = 0;
  virtual void field(const FieldInfo& info, double& value) = 0;
  virtual void field(const FieldInfo& info, std::string& value) = 0;
  virtual void field(const FieldInfo& info, std::vector<int64_t>& value) = 0;
  virtual void field(const FieldInfo& info, std::vector<double>& value) = 0;

  /// One of `names`, held as its index.
  virtual void choice(const FieldInfo& info,
                      std::span<const std::string_view> names,
                      size_t& index) = 0;

  /// Brackets the fields of a nested struct: a table of the recipe.
  virtual void begin_table(std::string_view key, std::string_view help) = 0;
  virtual void end_table() = 0;

  template <class E>
  requires std::is_enum_v<E>
  void field(const FieldInfo& info, E& value) {
    const auto entries = enum_names(E{});
    std::vector<std::string_view> names;
    size_t index = 0;
    for (const auto& entry : entries) {
      if (entry.value == value) {
        index = names.size();
      }
      names.push_back(entry.name);
    }
    choice(info, names, index);
    value = entries[index].value;
  }

  /// Visits a nested struct as the table `key`.
  template <class Options>
  void table(std::string_view key, std::string_view help, Options& options) {
    begin_table(key, help);
    visit_fields(*this, options);
    end_table();
  }
};

}  // namespace dblocks
