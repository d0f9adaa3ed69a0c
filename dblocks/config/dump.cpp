// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "dblocks/config/field_list.h"

namespace dblocks::config {

namespace {

std::string_view last_part(std::string_view key) {
  return key.substr(key.rfind('.') + 1);
}

/// Origins hold paths, and a path may hold bytes that TOML forbids.
std::string comment_of(const LoadedConfig& loaded, const std::string& key) {
  const auto found = loaded.origins.find(key);
  std::string text =
      found == loaded.origins.end() ? "default" : describe(found->second);
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < 0x20 || c >= 0x7F; }, '?');
  return text;
}

/// The lines of one table, comments aligned.
std::string table_body(const LoadedConfig& loaded,
                       const FieldList& list,
                       std::string_view table) {
  std::vector<std::pair<std::string, std::string>> lines;
  size_t width = 0;
  for (const Field& field : list.fields) {
    if (field.table == table) {
      lines.emplace_back(
          fmt::format("{} = {}", last_part(field.key), to_toml(field.value)),
          comment_of(loaded, field.key));
      width = std::max(width, lines.back().first.size());
    }
  }
  std::string out;
  for (const auto& [setting, comment] : lines) {
    out += fmt::format("{:<{}}  # {}\n", setting, width, comment);
  }
  return out;
}

}  // namespace

std::string dump_toml(const LoadedConfig& loaded) {
  const FieldList list = list_fields(loaded.config);
  std::string out = "# Every value of this run and where it comes from.\n";
  out += table_body(loaded, list, "");
  for (const Table& table : list.tables) {
    out += fmt::format("\n[{}]\n{}", table.key,
                       table_body(loaded, list, table.key));
  }
  return out;
}

}  // namespace dblocks::config
