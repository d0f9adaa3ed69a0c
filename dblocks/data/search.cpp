// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/search.h"

#include <algorithm>
#include <cstdlib>

#include "dblocks/core/error.h"
#include "dblocks/core/log.h"

namespace dblocks::data {
namespace {

namespace fs = std::filesystem;

bool file_exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool holds_all(const fs::path& folder, const std::vector<std::string>& files) {
  return std::all_of(files.begin(), files.end(), [&](const auto& name) {
    return file_exists(plain_or_gzip(folder, name));
  });
}

}  // namespace

fs::path plain_or_gzip(const fs::path& folder, const std::string& name) {
  const fs::path zipped = folder / (name + ".gz");
  return !file_exists(folder / name) && file_exists(zipped) ? zipped
                                                            : folder / name;
}

std::vector<fs::path> data_roots(const std::string& root) {
  std::vector<fs::path> roots;
  if (!root.empty()) {
    roots.emplace_back(root);
  }
  if (const char* folder = std::getenv("DBLOCKS_DATA");
      folder != nullptr && *folder != '\0') {
    roots.emplace_back(folder);
  }
  if (const char* home = std::getenv("HOME");
      home != nullptr && *home != '\0') {
    roots.push_back(fs::path(home) / ".local/share/dblocks");
  }
  roots.emplace_back("/usr/share/datasets");
  return roots;
}

fs::path find_dataset(const std::string& root, const SearchRecipe& recipe) {
  std::error_code ignored;
  DBLOCKS_CHECK(root.empty() || fs::is_directory(root, ignored), DataError,
                "[open_dataset] expected a folder, found none: {} (data.root)",
                root);
  std::string looked_in;
  for (const fs::path& base : data_roots(root)) {
    std::vector<fs::path> candidates;
    for (const std::string& name : recipe.folders) {
      candidates.push_back(base / name);
    }
    candidates.push_back(base);
    for (const fs::path& folder : candidates) {
      if (holds_all(folder, recipe.files)) {
        if (!root.empty() && base != root) {
          log().warn("[open_dataset] no {} in {} (data.root); reading {}",
                     recipe.dataset, root, folder.string());
        }
        return folder;
      }
      looked_in += fmt::format("\n  {}", folder.string());
    }
  }
  throw DataError(
      fmt::format("[open_dataset] expected the data set {}, found it in none "
                  "of these folders:{}\nHint: {}",
                  recipe.dataset, looked_in, recipe.hint));
}

}  // namespace dblocks::data
