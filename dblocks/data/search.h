// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace dblocks::data {

/// Where data sets may lie, in order: `root` unless empty, $DBLOCKS_DATA,
/// ~/.local/share/dblocks, /usr/share/datasets.
std::vector<std::filesystem::path> data_roots(const std::string& root);

/// How to recognise a data set and how to get it.
struct SearchRecipe {
  std::string dataset;
  /// Usual folder names; a root itself is tried last.
  std::vector<std::string> folders;
  /// Files or folders that must all exist, each plain or with .gz appended.
  std::vector<std::string> files;
  /// What to do if nothing is found.
  std::string hint;
};

/// How the data set of that name is recognised. Errors: ConfigError for an
/// unknown name.
SearchRecipe search_recipe(const std::string& dataset);

/// The first folder that holds every file of `recipe`. Warns in the log if
/// `root` is given but the data set lies elsewhere. Errors: DataError if `root`
/// is no folder, or if there is none, listing every folder looked in.
std::filesystem::path find_dataset(const std::string& root,
                                   const SearchRecipe& recipe);

/// How each data set that open_dataset() knows is found.
std::vector<SearchRecipe> known_datasets();

/// The file `name` of `folder`, or `name`.gz.
std::filesystem::path plain_or_gzip(const std::filesystem::path& folder,
                                    const std::string& name);

}  // namespace dblocks::data
