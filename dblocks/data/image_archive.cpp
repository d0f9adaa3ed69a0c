// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/image_archive.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <utility>

#include "dblocks/checkpoint/safetensors.h"
#include "dblocks/core/error.h"
#include "dblocks/data/npz.h"

namespace dblocks::data {
namespace {

namespace fs = std::filesystem;
using Arrays = std::map<std::string, NpyData>;

constexpr const char* kImages = "arr_0";
constexpr const char* kClasses = "arr_1";
constexpr const char* kMean = "mu";
constexpr const char* kCovariance = "sigma";
constexpr int64_t kMaxSide = 65500;

/// Whether there is an image, of such sides, grey or in colour.
bool is_picture_shape(int64_t count,
                      int64_t rows,
                      int64_t columns,
                      int64_t channels) {
  const auto is_side = [](int64_t n) { return n >= 1 && n <= kMaxSide; };
  return count >= 1 && is_side(rows) && is_side(columns) &&
         (channels == 1 || channels == 3);
}

Arrays read_arrays(const fs::path& file,
                   const std::vector<std::string>& names,
                   const std::vector<std::string>& optional) {
  std::error_code error;
  DBLOCKS_CHECK(fs::is_regular_file(file, error), DataError,
                "[read_npz] expected a file, found none: {}", file.string());
  return read_npz(file, names, optional);
}

template <class Number, class As>
std::vector<As> numbers_as(const NpyData& array) {
  std::vector<Number> numbers(array.bytes.size() / sizeof(Number));
  std::memcpy(numbers.data(), array.bytes.data(), array.bytes.size());
  return {numbers.begin(), numbers.end()};
}

std::vector<int64_t> classes_of(const NpyData& classes,
                                int64_t count,
                                const fs::path& file) {
  DBLOCKS_CHECK((classes.dtype == "<i8" || classes.dtype == "<i4") &&
                    classes.shape == std::vector{count},
                DataError,
                "[read_npz] expected classes <i8 or <i4 [{}], one for each "
                "image, found {} [{}]: {}, array {}",
                count, classes.dtype, fmt::join(classes.shape, ", "),
                file.string(), kClasses);
  return classes.dtype == "<i8" ? numbers_as<int64_t, int64_t>(classes)
                                : numbers_as<int32_t, int64_t>(classes);
}

ImageArchive images_of(const Arrays& arrays, const fs::path& file) {
  const NpyData& images = arrays.at(kImages);
  const std::vector<int64_t>& shape = images.shape;
  DBLOCKS_CHECK(images.dtype == "|u1" && shape.size() == 4 &&
                    is_picture_shape(shape[0], shape[1], shape[2], shape[3]),
                DataError,
                "[read_npz] expected images |u1 [N, Y, X, 1 or 3], found {} "
                "[{}]: {}, array {}",
                images.dtype, fmt::join(shape, ", "), file.string(), kImages);
  ImageArchive archive{.shape = shape,
                       .pixels = numbers_as<uint8_t, uint8_t>(images),
                       .classes = {}};
  if (const auto classes = arrays.find(kClasses); classes != arrays.end()) {
    archive.classes = classes_of(classes->second, shape[0], file);
  }
  return archive;
}

std::vector<double> statistics_of(const NpyData& array,
                                  const std::vector<int64_t>& shape,
                                  const std::string& where) {
  DBLOCKS_CHECK(
      (array.dtype == "<f8" || array.dtype == "<f4") && array.shape == shape,
      DataError, "[read_npz] expected <f8 or <f4 [{}], found {} [{}]: {}",
      fmt::join(shape, ", "), array.dtype, fmt::join(array.shape, ", "), where);
  std::vector<double> numbers = array.dtype == "<f8"
                                    ? numbers_as<double, double>(array)
                                    : numbers_as<float, double>(array);
  DBLOCKS_CHECK(
      std::ranges::all_of(numbers, [](double x) { return std::isfinite(x); }),
      DataError, "[read_npz] expected finite numbers, found others: {}", where);
  return numbers;
}

/// *Errors*: DataError unless it is the covariance of something.
void check_covariance(const std::vector<double>& covariance,
                      size_t num_features,
                      const std::string& where) {
  // Of a float32 matrix the halves may differ in the last places.
  constexpr double kTolerance = 1e-4, kTiny = 1e-12;
  const auto variance_of = [&](size_t i) {
    return covariance[i * num_features + i];
  };
  for (size_t i = 0; i < num_features; ++i) {
    const double variance = variance_of(i);
    DBLOCKS_CHECK(variance >= 0, DataError,
                  "[read_npz] expected variances of at least 0, found {} for "
                  "feature {}: {}",
                  variance, i, where);
    for (size_t j = 0; j < i; ++j) {
      const double a = covariance[i * num_features + j];
      const double b = covariance[j * num_features + i];
      DBLOCKS_CHECK(
          std::abs(a - b) <=
              kTolerance * std::sqrt(variance * variance_of(j)) + kTiny,
          DataError,
          "[read_npz] expected a symmetric covariance, found {} and "
          "{} for features {} and {}: {}",
          a, b, i, j, where);
    }
  }
}

bool is_safetensors(const fs::path& file) {
  return file.extension() == ".safetensors";
}

ImageArchive images_of_tensors(const fs::path& file) try {
  const checkpoint::SafetensorsFile tensors(file);
  const TensorBytes& images = tensors.at("images");
  const std::vector<int64_t>& shape = images.shape;
  DBLOCKS_CHECK(images.dtype == DType::kU8 && shape.size() == 4 &&
                    is_picture_shape(shape[0], shape[2], shape[3], shape[1]),
                DataError,
                "[read_images] expected U8 [N, 1 or 3, Y, X], found {} [{}]: "
                "{}, tensor images",
                dtype_name(images.dtype), fmt::join(shape, ", "),
                file.string());
  ImageArchive archive{
      .shape = {shape[0], shape[2], shape[3], shape[1]},
      .pixels =
          transposed({reinterpret_cast<const uint8_t*>(images.bytes.data()),
                      images.bytes.size()},
                     shape[1], shape[2] * shape[3]),
      .classes = {}};
  const auto labels =
      std::ranges::find(tensors.tensors(), "labels", &TensorBytes::name);
  if (labels != tensors.tensors().end()) {
    DBLOCKS_CHECK(
        labels->dtype == DType::kI64 && labels->shape == std::vector{shape[0]},
        DataError,
        "[read_images] expected I64 [{}], one label for each image, found {} "
        "[{}]: {}, tensor labels",
        shape[0], dtype_name(labels->dtype), fmt::join(labels->shape, ", "),
        file.string());
    archive.classes.emplace(static_cast<size_t>(shape[0]));
    std::memcpy(archive.classes->data(), labels->bytes.data(),
                labels->bytes.size());
  }
  return archive;
} catch (const CheckpointError& error) {
  throw DataError(error.what());
}

}  // namespace

std::vector<uint8_t> transposed(std::span<const uint8_t> images,
                                int64_t rows,
                                int64_t columns) {
  const auto height = static_cast<size_t>(rows);
  const auto width = static_cast<size_t>(columns);
  std::vector<uint8_t> result(images.size());
  uint8_t* to = result.data();
  for (size_t first = 0; first < images.size(); first += height * width) {
    for (size_t column = 0; column < width; ++column) {
      for (size_t row = 0; row < height; ++row) {
        *to++ = images[first + row * width + column];
      }
    }
  }
  return result;
}

ImageArchive read_image_archive(const fs::path& file) {
  if (is_safetensors(file)) {
    return images_of_tensors(file);
  }
  return images_of(read_arrays(file, {kImages}, {kClasses}), file);
}

std::variant<ImageArchive, FeatureStatistics> read_reference(
    const fs::path& file) {
  if (is_safetensors(file)) {
    return images_of_tensors(file);
  }
  const Arrays arrays =
      read_arrays(file, {}, {kImages, kClasses, kMean, kCovariance});
  if (arrays.contains(kImages)) {
    return images_of(arrays, file);
  }
  DBLOCKS_CHECK(arrays.contains(kMean) && arrays.contains(kCovariance),
                DataError,
                "[read_npz] expected images {}, or statistics {} and {}, found "
                "neither: {}",
                kImages, kMean, kCovariance, file.string());
  const auto where = [&](const char* name) {
    return fmt::format("{}, array {}", file.string(), name);
  };
  const std::vector<int64_t>& shape = arrays.at(kMean).shape;
  DBLOCKS_CHECK(shape.size() == 1 && shape[0] >= 1, DataError,
                "[read_npz] expected a mean [F], found [{}]: {}",
                fmt::join(shape, ", "), where(kMean));
  FeatureStatistics found{
      .mean = statistics_of(arrays.at(kMean), shape, where(kMean)),
      .covariance = statistics_of(arrays.at(kCovariance), {shape[0], shape[0]},
                                  where(kCovariance))};
  check_covariance(found.covariance, found.mean.size(), where(kCovariance));
  return found;
}

}  // namespace dblocks::data
