// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cli/reference.h"

namespace dblocks::cli {
namespace {

/// The words of "TEXT:{cpu,cuda}", which is how a list of values shows in the
/// type of an option.
std::vector<std::string> listed_words(const std::string& type) {
  const size_t open = type.find('{');
  const size_t close = type.find('}', open);
  if (open == std::string::npos || close == std::string::npos) {
    return {};
  }
  std::vector<std::string> words;
  std::string word;
  for (const char c : type.substr(open + 1, close - open - 1) + ",") {
    if (c != ',') {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, ""));
    }
  }
  return words;
}

ValueKind kind_of(const std::string& name, const std::string& type) {
  if (name == "set") return ValueKind::kKeys;
  if (name == "recipe") return ValueKind::kRecipe;
  if (name == "run" || name == "runs") return ValueKind::kRun;
  const bool is_number = type.starts_with("INT") || type.starts_with("UINT") ||
                         type.starts_with("FLOAT");
  return is_number ? ValueKind::kNumber : ValueKind::kFile;
}

OptionEntry describe_option(const CLI::Option& option) {
  OptionEntry entry{.names = {},
                    .description = option.get_description(),
                    .default_text = option.get_default_str(),
                    .is_required = option.get_required(),
                    .is_repeated = option.get_items_expected_max() > 1,
                    .kind = ValueKind::kFlag,
                    .words = {}};
  if (option.get_positional()) {
    entry.names.push_back(option.get_single_name());
  }
  for (const std::string& name : option.get_snames()) {
    entry.names.push_back("-" + name);
  }
  for (const std::string& name : option.get_lnames()) {
    entry.names.push_back("--" + name);
  }
  if (option.get_items_expected_max() == 0) {
    return entry;
  }
  const std::string& name = option.get_single_name();
  const std::string type = option.get_type_name();
  entry.words = name == "device"
                    ? std::vector<std::string>{"cpu", "cuda", "cuda:0"}
                    : listed_words(type);
  entry.kind = entry.words.empty() ? kind_of(name, type) : ValueKind::kWords;
  return entry;
}

std::vector<OptionEntry> describe_options(const CLI::App& verb,
                                          bool positional) {
  std::vector<OptionEntry> entries;
  for (const CLI::Option* option : verb.get_options()) {
    if (!option->get_group().empty() &&
        option->get_positional() == positional) {
      entries.push_back(describe_option(*option));
    }
  }
  return entries;
}

/// Appends `app` and what is below it; `before` is the command line so far.
void append(const CLI::App& app,
            const std::string& path,
            const std::string& before,
            std::vector<VerbEntry>& verbs) {
  const size_t own = verbs.size();
  const std::string line =
      before.empty() ? app.get_name() : before + " " + app.get_name();
  // Not app.help(): that shows the verb which is running instead of `app`.
  const std::string help =
      app.get_formatter()->make_help(&app, line, CLI::AppFormatMode::Normal);
  verbs.push_back({.path = path,
                   .description = app.get_description(),
                   .help = help,
                   .options = describe_options(app, false),
                   .arguments = describe_options(app, true),
                   .verbs = {}});
  for (const CLI::App* child :
       app.get_subcommands([](const CLI::App*) { return true; })) {
    if (child->get_group().empty() || child->get_name().empty()) {
      continue;
    }
    verbs[own].verbs.push_back(child->get_name());
    append(*child,
           path.empty() ? child->get_name() : path + " " + child->get_name(),
           line, verbs);
  }
}

}  // namespace

std::vector<VerbEntry> describe_program(const CLI::App& program) {
  std::vector<VerbEntry> verbs;
  append(program, "", "", verbs);
  return verbs;
}

}  // namespace dblocks::cli
