// SPDX-License-Identifier: Apache-2.0
// Texts made from the program's own description of itself, so that they cannot
// tell of another program: help pages, man page, shell completion.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace dblocks::cli {

/// What completion offers for an argument or for the value of an option.
enum class ValueKind {
  kFlag,    ///< takes no value
  kWords,   ///< one of a few words
  kKeys,    ///< key=value of a recipe
  kRecipe,  ///< a TOML file
  kRun,     ///< the folder of a run
  kFile,    ///< any file or folder
  kNumber,  ///< nothing to offer
};

/// An option or a positional argument.
struct OptionEntry {
  std::vector<std::string> names;  ///< "-h", "--help"; or "recipe"
  std::string description;
  std::string default_text;  ///< "" where help shows none
  bool is_required = false;
  bool is_repeated = false;  ///< takes any number of values
  ValueKind kind = ValueKind::kFlag;
  std::vector<std::string> words;  ///< only with kWords
};

/// A verb, nested ones included, or the program itself.
struct VerbEntry {
  std::string path;  ///< "train", "data fetch"; "" for the program
  std::string description;
  std::string help;  ///< what `dblocks VERB --help` prints
  std::vector<OptionEntry> options;
  std::vector<OptionEntry> arguments;
  std::vector<std::string> verbs;  ///< names of the verbs right below
};

/// The program and every verb that help shows, parents before children.
std::vector<VerbEntry> describe_program(const CLI::App& program);

/// The keys of a recipe, and the words that one may take: empty for numbers,
/// names and lists.
std::vector<std::string> recipe_keys();
std::vector<std::string> values_of_key(const std::string& key);

/// The help of every verb by file name: "data_fetch.txt".
std::map<std::string, std::string> help_pages(
    const std::vector<VerbEntry>& verbs);

/// dblocks(1) in man(7) macros.
std::string man_page(const std::vector<VerbEntry>& verbs);

/// A script to source.
std::string bash_completion(const std::vector<VerbEntry>& verbs);
std::string zsh_completion(const std::vector<VerbEntry>& verbs);

/// What `dblocks` says without arguments: what to do first, and the verbs.
std::string overview(const std::vector<VerbEntry>& verbs);

/// A C++ source that defines help_texts() and overview_text() of program.h.
std::string help_source(const std::vector<VerbEntry>& verbs);

}  // namespace dblocks::cli
