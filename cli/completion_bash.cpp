// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/reference.h"

namespace dblocks::cli {
namespace {

// Words are taken from the line itself: COMP_WORDS is split at '=' and ':', and
// for the same reason a reply must leave out what stands before the last of
// these.
constexpr const char* kEngine = R"BASH(
_dblocks_runs() {
  local folder
  while IFS= read -r folder; do
    if [[ -e $folder/resolved.toml ]]; then
      printf '%s\n' "$folder"
    else
      printf '%s/\n' "$folder"
    fi
  done < <(compgen -d -- "$1")
}

_dblocks_key() {
  if [[ $1 == *=* ]]; then
    compgen -P "${1%%=*}=" -W "$(_dblocks_values "${1%%=*}")" -- "${1#*=}"
  else
    compgen -S = -W "$_dblocks_keys" -- "$1"
  fi
}

_dblocks_candidates() {
  case ${1%% *} in
    words) compgen -W "${1#words }" -- "$2" ;;
    keys) _dblocks_key "$2" ;;
    recipe)
      compgen -f -X '!*.toml' -- "$2"
      compgen -d -S / -- "$2"
      ;;
    run) _dblocks_runs "$2" ;;
    file) compgen -f -- "$2" ;;
  esac
}

_dblocks() {
  local line=${COMP_LINE:0:COMP_POINT} verb='' option='' position=0
  local word kind prefix='' before
  local -a words
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  local current=${words[-1]}
  for word in "${words[@]:1:${#words[@]}-2}"; do
    if [[ -n $option ]]; then
      option=''
    elif [[ $word == -* ]]; then
      [[ $word == *=* || $(_dblocks_kind "$verb" "$word") == flag ]] ||
        option=$word
    elif [[ " $(_dblocks_verbs "$verb") " == *" $word "* ]]; then
      verb=${verb:+$verb }$word
    else
      position=$((position + 1))
    fi
  done
  if [[ -z $option && $current == --*=* ]]; then
    option=${current%%=*}
    prefix=$option=
    current=${current#*=}
  fi
  if [[ -n $option ]]; then
    kind=$(_dblocks_kind "$verb" "$option")
  elif [[ $current == -* ]]; then
    kind="words $(_dblocks_flags "$verb")"
  elif [[ -n $(_dblocks_verbs "$verb") ]]; then
    kind="words $(_dblocks_verbs "$verb")"
  else
    kind=$(_dblocks_kind "$verb" "$position")
  fi
  mapfile -t COMPREPLY < <(_dblocks_candidates "$kind" "$current")
  [[ $kind == file ]] && compopt -o filenames 2>/dev/null
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]]; then
    compopt -o nospace 2>/dev/null
  fi
  before=$prefix$current
  if [[ $before == *[=:]* ]]; then
    before=${before%"${before##*[=:]}"}
    COMPREPLY=("${COMPREPLY[@]/#/$prefix}")
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
  fi
}
complete -F _dblocks dblocks
)BASH";

std::string kind_word(const OptionEntry& option) {
  switch (option.kind) {
    case ValueKind::kFlag:
      return "flag";
    case ValueKind::kWords:
      return fmt::format("words {}", fmt::join(option.words, " "));
    case ValueKind::kKeys:
      return "keys";
    case ValueKind::kRecipe:
      return "recipe";
    case ValueKind::kRun:
      return "run";
    case ValueKind::kFile:
      return "file";
    case ValueKind::kNumber:
      return "number";
  }
  return "";
}

/// A shell function that prints the line belonging to its arguments.
std::string table(const std::string& name,
                  const std::string& subject,
                  const std::string& cases) {
  return fmt::format("{}() {{\n  case {} in\n{}  esac\n}}\n", name, subject,
                     cases);
}

std::string table_case(const std::string& pattern, const std::string& text) {
  return fmt::format("    {}) echo '{}' ;;\n", pattern, text);
}

std::string flags_of(const VerbEntry& verb) {
  std::string flags;
  for (const OptionEntry& option : verb.options) {
    flags += fmt::format("{}{}", flags.empty() ? "" : " ",
                         fmt::join(option.names, " "));
  }
  return flags;
}

/// What follows each flag of a verb, and what each of its arguments is, by
/// number.
std::string kind_cases(const VerbEntry& verb) {
  std::string out;
  for (const OptionEntry& option : verb.options) {
    for (const std::string& name : option.names) {
      out += table_case(fmt::format("'{} {}'", verb.path, name),
                        kind_word(option));
    }
  }
  int position = 0;
  for (const OptionEntry& argument : verb.arguments) {
    const std::string pattern =
        argument.is_repeated ? fmt::format("'{} '[0-9]*", verb.path)
                             : fmt::format("'{} {}'", verb.path, position++);
    out += table_case(pattern, kind_word(argument));
  }
  return out;
}

}  // namespace

std::string bash_completion(const std::vector<VerbEntry>& program) {
  std::string verbs, flags, kinds, values;
  for (const VerbEntry& verb : program) {
    const std::string pattern = fmt::format("'{}'", verb.path);
    verbs += table_case(pattern, fmt::format("{}", fmt::join(verb.verbs, " ")));
    flags += table_case(pattern, flags_of(verb));
    kinds += kind_cases(verb);
  }
  for (const std::string& key : recipe_keys()) {
    if (const auto words = values_of_key(key); !words.empty()) {
      values += table_case(key, fmt::format("{}", fmt::join(words, " ")));
    }
  }
  return "# bash completion for dblocks: source <(dblocks completion bash)\n" +
         table("_dblocks_verbs", "$1", verbs) +
         table("_dblocks_flags", "$1", flags) +
         table("_dblocks_kind", "\"$1 $2\"", kinds) +
         table("_dblocks_values", "$1", values) +
         fmt::format("_dblocks_keys='{}'\n", fmt::join(recipe_keys(), " ")) +
         kEngine;
}

}  // namespace dblocks::cli
