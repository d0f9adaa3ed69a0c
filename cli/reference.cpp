// SPDX-License-Identifier: Apache-2.0
#include "cli/reference.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <variant>

#include "dblocks/config/field_list.h"

namespace dblocks::cli {

std::vector<std::string> recipe_keys() {
  std::vector<std::string> keys;
  for (const config::Field& field :
       config::list_fields(config::RunConfig{}).fields) {
    keys.push_back(field.key);
  }
  return keys;
}

std::vector<std::string> values_of_key(const std::string& key) {
  const config::FieldList list = config::list_fields(config::RunConfig{});
  const config::Field* field = list.find(key);
  if (field == nullptr) {
    return {};
  }
  if (std::holds_alternative<bool>(field->value)) {
    return {"true", "false"};
  }
  const auto* choice = std::get_if<config::Choice>(&field->value);
  if (choice == nullptr) {
    return {};
  }
  return {choice->names.begin(), choice->names.end()};
}

std::map<std::string, std::string> help_pages(
    const std::vector<VerbEntry>& verbs) {
  std::map<std::string, std::string> pages;
  for (const VerbEntry& verb : verbs) {
    std::string file = verb.path.empty() ? "dblocks" : verb.path;
    std::ranges::replace(file, ' ', '_');
    pages[file + ".txt"] = verb.help;
  }
  return pages;
}

std::string overview(const std::vector<VerbEntry>& verbs) {
  return fmt::format(
      "dblocks {}: trains deep residual networks one block at a time.\n"
      "\n"
      "first  dblocks train recipes/debug_vit.toml --out runs/debug\n"
      "then   dblocks eval runs/debug\n"
      "verbs  {}\n"
      "more   dblocks --help, dblocks VERB --help, docs/getting_started.md\n",
      DBLOCKS_VERSION, fmt::join(verbs.front().verbs, " "));
}

std::string help_source(const std::vector<VerbEntry>& verbs) {
  std::string out =
      "#include \"cli/program.h\"\n"
      "namespace dblocks::cli {\n"
      "static const HelpText kHelpTexts[] = {\n";
  for (const VerbEntry& verb : verbs) {
    out +=
        fmt::format("{{\"{}\", R\"help({})help\"}},\n", verb.path, verb.help);
  }
  return out +
         fmt::format(
             "}};\n"
             "std::span<const HelpText> help_texts() {{ return kHelpTexts; }}\n"
             "const char* overview_text() {{ return R\"help({})help\"; }}\n"
             "}}  // namespace dblocks::cli\n",
             overview(verbs));
}

}  // namespace dblocks::cli
