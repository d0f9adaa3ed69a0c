// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/npz_dataset.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/data/npz.h"

namespace dblocks::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kImages = "arr_0";
constexpr const char* kClasses = "arr_1";
constexpr int64_t kMaxClasses = 65536;
constexpr int64_t kMaxSide = 65500;

struct Split {
  fs::path path;
  std::vector<int64_t> shape;  // [N, Y, X, C]
  std::vector<int64_t> labels;
  std::vector<uint8_t> pixels;  // [N, C, Y, X]
};

/// Each image with its channels one after the other.
std::vector<uint8_t> planar(const NpyData& images) {
  const auto area = static_cast<size_t>(images.shape[1]) *
                    static_cast<size_t>(images.shape[2]);
  const auto channels = static_cast<size_t>(images.shape[3]);
  const auto* from = reinterpret_cast<const uint8_t*>(images.bytes.data());
  std::vector<uint8_t> pixels(images.bytes.size());
  uint8_t* to = pixels.data();
  for (size_t n = 0; n < static_cast<size_t>(images.shape[0]); ++n) {
    for (size_t c = 0; c < channels; ++c) {
      for (size_t p = 0; p < area; ++p) {
        *to++ = from[(n * area + p) * channels + c];
      }
    }
  }
  return pixels;
}

template <class Number>
std::vector<int64_t> as_labels(const NpyData& classes) {
  std::vector<Number> numbers(static_cast<size_t>(classes.shape[0]));
  std::memcpy(numbers.data(), classes.bytes.data(), classes.bytes.size());
  return {numbers.begin(), numbers.end()};
}

Split read_split(const fs::path& path) {
  std::error_code error;
  DBLOCKS_CHECK(fs::is_regular_file(path, error), DataError,
                "[read_npz] expected a file, found none: {}", path.string());
  const auto arrays = read_npz(path, {kImages, kClasses});
  const NpyData& images = arrays.at(kImages);
  const std::vector<int64_t>& shape = images.shape;
  const auto is_side = [](int64_t n) { return n >= 1 && n <= kMaxSide; };
  DBLOCKS_CHECK(images.dtype == "|u1" && shape.size() == 4 && shape[0] >= 1 &&
                    is_side(shape[1]) && is_side(shape[2]) &&
                    (shape[3] == 1 || shape[3] == 3),
                DataError,
                "[read_npz] expected images |u1 [N, Y, X, 1 or 3], found {} "
                "[{}]: {}, array {}",
                images.dtype, fmt::join(shape, ", "), path.string(), kImages);
  const NpyData& classes = arrays.at(kClasses);
  DBLOCKS_CHECK((classes.dtype == "<i8" || classes.dtype == "<i4") &&
                    classes.shape == std::vector{shape[0]},
                DataError,
                "[read_npz] expected classes <i8 or <i4 [{}], one for each "
                "image, found {} [{}]: {}, array {}",
                shape[0], classes.dtype, fmt::join(classes.shape, ", "),
                path.string(), kClasses);
  return {.path = path,
          .shape = shape,
          .labels = classes.dtype == "<i8" ? as_labels<int64_t>(classes)
                                           : as_labels<int32_t>(classes),
          .pixels = planar(images)};
}

void check_classes(const Split& split, int64_t num_classes) {
  for (size_t i = 0; i < split.labels.size(); ++i) {
    DBLOCKS_CHECK(
        split.labels[i] >= 0 && split.labels[i] < num_classes, DataError,
        "[read_npz] expected classes of 0 to {}, found {} for sample "
        "{}: {}, array {}",
        num_classes - 1, split.labels[i], i, split.path.string(), kClasses);
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
