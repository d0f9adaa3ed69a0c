// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/npz_dataset.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/data/image_archive.h"

namespace dblocks::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxClasses = 65536;

struct Split {
  fs::path path;
  std::vector<int64_t> shape;  // [N, Y, X, C]
  std::vector<int64_t> labels;
  std::vector<uint8_t> pixels;  // [N, C, Y, X]
};

Split read_split(const fs::path& path) {
  ImageArchive images = read_image_archive(path);
  DBLOCKS_CHECK(images.classes, DataError,
                "[read_npz] expected an array arr_1 of classes, found none: {}",
                path.string());
  return {.path = path,
          .shape = images.shape,
          .labels = std::move(*images.classes),
          .pixels = transposed(images.pixels, images.shape[1] * images.shape[2],
                               images.shape[3])};
}

void check_classes(const Split& split, int64_t num_classes) {
  for (size_t i = 0; i < split.labels.size(); ++i) {
    DBLOCKS_CHECK(
        split.labels[i] >= 0 && split.labels[i] < num_classes, DataError,
        "[read_npz] expected classes of 0 to {}, found {} for sample "
        "{}: {}, array {}",
        num_classes - 1, split.labels[i], i, split.path.string(), "arr_1");
  }
}

}  // namespace

DataSplits read_npz_dataset(
    const fs::path& root,
    const std::function<void(DatasetInfo& info)>& set_statistics) {
  Split train = read_split(root / "train.npz");
  Split test = read_split(root / "test.npz");
  DBLOCKS_CHECK(std::equal(train.shape.begin() + 1, train.shape.end(),
                           test.shape.begin() + 1),
                DataError,
                "[read_npz] expected images of [{}] as in {}, found [{}]: {}",
                fmt::join(train.shape.begin() + 1, train.shape.end(), ", "),
                train.path.string(),
                fmt::join(test.shape.begin() + 1, test.shape.end(), ", "),
                test.path.string());
  check_classes(train, kMaxClasses);
  DatasetInfo info{.name = "npz",
                   .channels = train.shape[3],
                   .rows = train.shape[1],
                   .columns = train.shape[2]};
  for (int64_t i = 0; i <= *std::ranges::max_element(train.labels); ++i) {
    info.class_names.push_back(fmt::format("{}", i));
  }
  check_classes(test, info.num_classes());
  set_statistics(info);
  return {Dataset(info, std::move(train.labels), std::move(train.pixels)),
          Dataset(info, std::move(test.labels), std::move(test.pixels))};
}

}  // namespace dblocks::data
