// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/tiny_imagenet.h"

#include <algorithm>
#include <unordered_map>

#include "dblocks/core/error.h"
#include "dblocks/data/file_bytes.h"
#include "dblocks/data/jpeg.h"

namespace dblocks::data {
namespace {

namespace fs = std::filesystem;

class JpegFiles : public PixelSource {
 public:
  JpegFiles(int64_t rows, int64_t columns, std::vector<std::string> paths)
      : rows_(rows), columns_(columns), paths_(std::move(paths)) {}

  std::span<const uint8_t> pixels(int64_t i,
                                  std::vector<uint8_t>& buffer) const override {
    read_jpeg(paths_[static_cast<size_t>(i)], rows_, columns_, buffer);
    return buffer;
  }

 private:
  int64_t rows_;
  int64_t columns_;
  std::vector<std::string> paths_;
};

struct Listing {
  std::vector<int64_t> labels;
  std::vector<std::string> paths;
};

Dataset make_dataset(const DatasetInfo& info, Listing listing) {
  return Dataset(info, std::move(listing.labels),
                 std::make_shared<JpegFiles>(info.rows, info.columns,
                                             std::move(listing.paths)));
}

std::vector<std::string> sorted_names(const fs::path& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    names.push_back(entry.path().filename().string());
  }
  DBLOCKS_CHECK(!error && !names.empty(), DataError,
                "[read_tiny_imagenet] expected a folder with files, found {}: "
                "{}",
                error ? error.message() : "none", folder.string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> class_ids(const fs::path& folder) {
  std::vector<std::string> ids;
  if (fs::exists(folder / "wnids.txt")) {
    ids = read_lines(folder / "wnids.txt");
    std::sort(ids.begin(), ids.end());
  } else {
    ids = sorted_names(folder / "train");
  }
  DBLOCKS_CHECK(!ids.empty(), DataError,
                "[read_tiny_imagenet] expected class ids, found none: {}",
                (folder / "wnids.txt").string());
  return ids;
}

std::vector<std::string> class_names(const fs::path& folder,
                                     const std::vector<std::string>& ids) {
  std::unordered_map<std::string, std::string> words;
  if (fs::exists(folder / "words.txt")) {
    for (const std::string& line : read_lines(folder / "words.txt")) {
      const size_t tab = std::min(line.find('\t'), line.size());
      const size_t start = std::min(tab + 1, line.size());
      words[line.substr(0, tab)] =
          line.substr(start, line.find(',', start) - start);
    }
  }
  std::vector<std::string> names;
  for (const std::string& id : ids) {
    const auto found = words.find(id);
    const bool named = found != words.end() && !found->second.empty();
    names.push_back(named ? found->second : id);
  }
  return names;
}

Listing list_train(const fs::path& folder,
                   const std::vector<std::string>& ids) {
  Listing listing;
  for (size_t label = 0; label < ids.size(); ++label) {
    const fs::path images = folder / "train" / ids[label] / "images";
    for (const std::string& name : sorted_names(images)) {
      listing.labels.push_back(static_cast<int64_t>(label));
      listing.paths.push_back((images / name).string());
    }
  }
  return listing;
}

// Lines of val_annotations.txt: file, class id and a box, separated by tabs.
Listing list_test(const fs::path& folder, const std::vector<std::string>& ids) {
  const fs::path annotations = folder / "val" / "val_annotations.txt";
  Listing listing;
  for (const std::string& line : read_lines(annotations)) {
    const size_t tab = std::min(line.find('\t'), line.size());
    const size_t start = std::min(tab + 1, line.size());
    const std::string id = line.substr(start, line.find('\t', start) - start);
    const auto found = std::lower_bound(ids.begin(), ids.end(), id);
    DBLOCKS_CHECK(found != ids.end() && *found == id, DataError,
                  "[read_tiny_imagenet] expected a file and a known class id, "
                  "found '{}' in line {}: {}",
                  line, listing.labels.size() + 1, annotations.string());
    listing.labels.push_back(found - ids.begin());
    listing.paths.push_back(
        (folder / "val" / "images" / line.substr(0, tab)).string());
  }
  DBLOCKS_CHECK(!listing.labels.empty(), DataError,
                "[read_tiny_imagenet] expected annotations, found none: {}",
                annotations.string());
  return listing;
}

}  // namespace

DataSplits read_tiny_imagenet(const fs::path& folder, DatasetInfo info) {
  const std::vector<std::string> ids = class_ids(folder);
  info.class_names = class_names(folder, ids);
  return {make_dataset(info, list_train(folder, ids)),
          make_dataset(info, list_test(folder, ids))};
}

}  // namespace dblocks::data
