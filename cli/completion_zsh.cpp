// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cli/reference.h"

namespace dblocks::cli {
namespace {

constexpr const char* kHelpers = R"(
_dblocks_keys() {
  if compset -P '*='; then
    local key=${${IPREFIX%=}##*=}
    local -a values
    values=($(_dblocks_values $key))
    compadd -a values
  else
    compadd -S = -- ${=_dblocks_all_keys}
  fi
}
)";

/// Text inside single quotes and inside a [description] of _arguments.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else if (c == '[' || c == ']' || c == ':' || c == '\\') {
      out += fmt::format("\\{}", c);
    } else {
      out += c;
    }
  }
  return out;
}

/// What _arguments calls to complete a value.
std::string action(const OptionEntry& option) {
  std::string words;
  switch (option.kind) {
    case ValueKind::kWords:
      for (const std::string& word : option.words) {
        words += fmt::format("{}{}", words.empty() ? "" : " ", escaped(word));
      }
      return fmt::format("({})", words);
    case ValueKind::kKeys:
      return "_dblocks_keys";
    case ValueKind::kRecipe:
      return "_files -g \"*.toml\"";
    case ValueKind::kRun:
      return "_files -/";
    case ValueKind::kFile:
      return "_files";
    default:
      return " ";
  }
}

std::string option_specs(const OptionEntry& option) {
  std::string out;
  for (const std::string& name : option.names) {
    out += fmt::format(
        " \\\n    '{}{}[{}]{}'", option.is_repeated ? "*" : "", name,
        escaped(option.description),
        option.kind == ValueKind::kFlag ? "" : ":value:" + action(option));
  }
  return out;
}

std::string argument_spec(const OptionEntry& argument) {
  std::string start = argument.is_required ? "" : ":";
  if (argument.is_repeated) {
    start = "*";
  }
  return fmt::format(" \\\n    '{}:{}:{}'", start,
                     escaped(argument.names.front()), action(argument));
}

std::string function_name(const std::string& path) {
  std::string name = path.empty() ? "_dblocks" : "_dblocks_verb_" + path;
  std::ranges::replace(name, ' ', '_');
  return name;
}

std::string description_of(const std::vector<VerbEntry>& program,
                           const std::string& path) {
  const auto found = std::ranges::find(program, path, &VerbEntry::path);
  return found == program.end() ? "" : found->description;
}

/// A verb that takes arguments.
std::string leaf_function(const VerbEntry& verb, std::string specs) {
  for (const OptionEntry& argument : verb.arguments) {
    specs += argument_spec(argument);
  }
  return fmt::format("\n{}() {{\n  _arguments{}\n}}\n",
                     function_name(verb.path), specs);
}

/// A verb with verbs below it, or the program.
std::string branch_function(const std::vector<VerbEntry>& program,
                            const VerbEntry& verb,
                            const std::string& specs) {
  std::string names, cases;
  for (const std::string& child : verb.verbs) {
    const std::string path =
        verb.path.empty() ? child : verb.path + " " + child;
    names += fmt::format("    '{}:{}'\n", child,
                         escaped(description_of(program, path)));
    cases += fmt::format("      {}) {} ;;\n", child, function_name(path));
  }
  return fmt::format(
      "\n{}() {{\n  local context state state_descr line\n"
      "  local -A opt_args\n  local -a verbs\n  verbs=(\n{}  )\n"
      "  _arguments -C{} \\\n    '1:verb:->verb' \\\n"
      "    '*::argument:->rest'\n"
      "  case $state in\n    verb) _describe -t verbs verb verbs ;;\n"
      "    rest)\n      case $line[1] in\n{}      esac ;;\n  esac\n}}\n",
      function_name(verb.path), names, specs, cases);
}

}  // namespace

std::string zsh_completion(const std::vector<VerbEntry>& program) {
  std::string functions, values;
  for (const VerbEntry& verb : program) {
    std::string specs;
    for (const OptionEntry& option : verb.options) {
      specs += option_specs(option);
    }
    functions += verb.verbs.empty() ? leaf_function(verb, specs)
                                    : branch_function(program, verb, specs);
  }
  for (const std::string& key : recipe_keys()) {
    if (const auto words = values_of_key(key); !words.empty()) {
      values +=
          fmt::format("    {}) echo '{}' ;;\n", key, fmt::join(words, " "));
    }
  }
  return fmt::format(
             "#compdef dblocks\n"
             "# zsh completion for dblocks: source <(dblocks completion zsh)\n"
             "# after compinit, or save it as _dblocks in a folder of fpath.\n"
             "_dblocks_all_keys='{}'\n\n"
             "_dblocks_values() {{\n  case $1 in\n{}  esac\n}}\n",
             fmt::join(recipe_keys(), " "), values) +
         kHelpers + functions +
         "\nif [[ $funcstack[1] == _dblocks ]]; then\n  _dblocks \"$@\"\n"
         "else\n  compdef _dblocks dblocks\nfi\n";
}

}  // namespace dblocks::cli
