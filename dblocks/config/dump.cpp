// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "dblocks/config/field_list.h"

namespace dblocks::config {

namespace {

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

/// Where the comment of a line starts, quoted text aside.
size_t comment_start(std::string_view line) {
  bool is_quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\') {
      ++i;
    } else if (line[i] == '"') {
      is_quoted = !is_quoted;
    } else if (line[i] == '#' && !is_quoted) {
      return i;
    }
  }
  return std::string_view::npos;
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

std::map<std::string, std::string, std::less<>> dumped_origins(
    std::string_view text) {
  std::map<std::string, std::string, std::less<>> origins;
  std::string table;
  while (!text.empty()) {
    const size_t length = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, length);
    text.remove_prefix(std::min(length + 1, text.size()));
    if (line.starts_with('[') && line.ends_with(']')) {
      table = std::string(line.substr(1, line.size() - 2)) + ".";
      continue;
    }
    const size_t equals = line.find(" = ");
    const size_t comment = comment_start(line);
    if (equals != std::string_view::npos && comment > equals &&
        comment != std::string_view::npos) {
      std::string_view origin = line.substr(comment + 1);
      origin.remove_prefix(
          std::min(origin.find_first_not_of(' '), origin.size()));
      origins[table + std::string(line.substr(0, equals))] = origin;
    }
  }
  return origins;
}

}  // namespace dblocks::config
