// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/image_folder.h"

#include <algorithm>
#include <cctype>

#include "dblocks/core/error.h"
#include "dblocks/data/image_file.h"

namespace dblocks::data {
namespace {

namespace fs = std::filesystem;

class ImageFiles : public PixelSource {
 public:
  ImageFiles(const DatasetInfo& info, std::vector<std::string> paths)
      : channels_(info.channels),
        rows_(info.rows),
        columns_(info.columns),
        paths_(std::move(paths)) {}

  std::span<const uint8_t> pixels(int64_t i,
                                  std::vector<uint8_t>& buffer) const override {
    Image image;
    image.pixels.swap(buffer);
    view(
        i,
        [&](int64_t rows, int64_t columns) {
          return centred_view(rows, columns, rows_, columns_);
        },
        image);
    image.pixels.swap(buffer);
    return buffer;
  }

  bool has_views() const override { return true; }
  void view(int64_t i, const ChooseView& choose, Image& out) const override {
    read_image(paths_[static_cast<size_t>(i)], channels_, choose, out);
  }

 private:
  int64_t channels_;
  int64_t rows_;
  int64_t columns_;
  std::vector<std::string> paths_;
};

bool is_image_name(const fs::path& name) {
  std::string ending = name.extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

// Names in `folder` that `is_wanted` takes, sorted.
template <class IsWanted>
std::vector<std::string> names_in(const fs::path& folder,
                                  const IsWanted& is_wanted) {
  std::error_code error;
  std::vector<std::string> names;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with('.') && is_wanted(*entry)) {
      names.push_back(name);
    }
  }
  DBLOCKS_CHECK(!error, DataError,
                "[read_image_folder] cannot read the folder {}: {}",
                folder.string(), error.message());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> class_folders(const fs::path& folder) {
  return names_in(folder, [](const fs::directory_entry& entry) {
    std::error_code ignored;
    return entry.is_directory(ignored);
  });
}

Dataset list_images(const fs::path& folder,
                    const std::vector<std::string>& folders,
                    const DatasetInfo& info) {
  std::vector<int64_t> labels;
  std::vector<std::string> paths;
  for (const std::string& name : folders) {
    const auto found = std::ranges::lower_bound(info.class_names, name);
    DBLOCKS_CHECK(found != info.class_names.end() && *found == name, DataError,
                  "[read_image_folder] expected one of the {} classes of the "
                  "training images, found the folder {}",
                  info.num_classes(), (folder / name).string());
    for (const std::string& file :
         names_in(folder / name, [](const fs::directory_entry& entry) {
           return is_image_name(entry.path());
         })) {
      labels.push_back(found - info.class_names.begin());
      paths.push_back((folder / name / file).string());
    }
  }
  return Dataset(info, std::move(labels),
                 std::make_shared<ImageFiles>(info, std::move(paths)));
}

void check_every_class_has_images(const Dataset& train,
                                  const fs::path& folder) {
  std::vector<bool> is_there(static_cast<size_t>(train.info().num_classes()));
  for (int64_t i = 0; i < train.size(); ++i) {
    is_there[static_cast<size_t>(train.label(i))] = true;
  }
  for (size_t label = 0; label < is_there.size(); ++label) {
    DBLOCKS_CHECK(is_there[label], DataError,
                  "[read_image_folder] expected images (.png, .jpg, .jpeg) of "
                  "every class, found none: {}",
                  (folder / train.info().class_names[label]).string());
  }
}

}  // namespace

DataSplits read_image_folder(const fs::path& root, DatasetInfo info) {
  std::error_code ignored;
  const fs::path train_folder = root / "train";
  const bool has_test = fs::is_directory(root / "test", ignored);
  const fs::path test_folder = root / (has_test ? "test" : "val");
  for (const fs::path& folder : {train_folder, test_folder}) {
    DBLOCKS_CHECK(fs::is_directory(folder, ignored), DataError,
                  "[read_image_folder] expected {}/train/CLASS/*.png and "
                  "{}/test/CLASS/*.png (or .jpg, .jpeg), found no folder {}",
                  root.string(), root.string(), folder.string());
  }
  info.class_names = class_folders(train_folder);
  DBLOCKS_CHECK(!info.class_names.empty(), DataError,
                "[read_image_folder] expected one folder per class, found "
                "none: {}",
                train_folder.string());
  DataSplits splits{list_images(train_folder, info.class_names, info),
                    list_images(test_folder, class_folders(test_folder), info)};
  check_every_class_has_images(splits.train, train_folder);
  DBLOCKS_CHECK(splits.test.size() > 0, DataError,
                "[read_image_folder] expected images (.png, .jpg, .jpeg), "
                "found none: {}",
                test_folder.string());
  return splits;
}

}  // namespace dblocks::data
