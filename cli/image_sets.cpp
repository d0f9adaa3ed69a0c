// SPDX-License-Identifier: Apache-2.0
#include "cli/image_sets.h"

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <utility>
#include <variant>

#include "dblocks/core/error.h"
#include "dblocks/core/flat_state.h"
#include "dblocks/core/hash.h"
#include "dblocks/data/image_archive.h"
#include "dblocks/tasks/image_comparison.h"

namespace dblocks::cli {
namespace {

template <class Number>
at::Tensor tensor_of(const std::vector<Number>& numbers,
                     DType dtype,
                     const std::vector<int64_t>& shape) {
  return as_tensor({"", dtype, shape, std::as_bytes(std::span(numbers))});
}

/// A file's name with the hash of what was read of it.
std::string name_of(const std::string& file,
                    std::initializer_list<std::span<const std::byte>> content) {
  Hasher hasher;
  for (const std::span<const std::byte> bytes : content) {
    hasher.update(bytes);
  }
  return fmt::format("{} ({})", std::filesystem::path(file).filename().string(),
                     hasher.digest().hex().substr(0, 8));
}

/// *Errors*: ConfigError for images that a network in use cannot read.
void check_size(const data::ImageArchive& images,
                const std::string& file,
                const FeatureNetworks& networks,
                const data::DatasetInfo& info) {
  const std::vector<int64_t> own = {info.rows, info.columns, info.channels};
  const bool any_size = networks.inception && !networks.classifier;
  DBLOCKS_CHECK(
      any_size || std::equal(own.begin(), own.end(), images.shape.begin() + 1),
      ConfigError,
      "[eval] expected images of [{}] as in the data of the run, found [{}]: "
      "{}. Hint: only Inception's features take images of any size",
      fmt::join(own, ", "),
      fmt::join(images.shape.begin() + 1, images.shape.end(), ", "), file);
}

ForeignImages foreign_images(data::ImageArchive images,
                             const std::string& file,
                             const FeatureNetworks& networks,
                             const data::DatasetInfo& info) {
  check_size(images, file, networks, info);
  ForeignImages result{
      .name = name_of(file, {std::as_bytes(std::span(images.pixels))}),
      .pixels = tensor_of(images.pixels, DType::kU8, images.shape),
      .classes = {}};
  if (images.classes) {
    result.classes =
        tensor_of(*images.classes, DType::kI64, {images.shape.front()});
  }
  return result;
}

Reference statistics(const data::FeatureStatistics& found,
                     const std::string& file,
                     const FeatureNetworks& networks) {
  DBLOCKS_CHECK(networks.inception, ConfigError,
                "[eval] expected evaluation.inception with a reference of "
                "statistics, which are of its features, found none: {}",
                file);
  const auto num_features = static_cast<int64_t>(found.mean.size());
  DBLOCKS_CHECK(num_features == tasks::InceptionFeatures::kNumFeatures,
                ConfigError,
                "[eval] expected statistics of Inception-v3's {} features, "
                "found {}: {}",
                tasks::InceptionFeatures::kNumFeatures, num_features, file);
  return {.name = "the statistics of " +
                  name_of(file, {std::as_bytes(std::span(found.mean)),
                                 std::as_bytes(std::span(found.covariance))}),
          .pixels = {},
          .mean = tensor_of(found.mean, DType::kF64, {num_features}),
          .covariance = tensor_of(found.covariance, DType::kF64,
                                  {num_features, num_features})};
}

report::ImageScore compare(const at::Tensor& pixels,
                           const std::string& images,
                           const Reference& reference,
                           const tasks::ImageFeatures& features,
                           const tasks::EvaluationOptions& options) {
  report::ImageScore score{
      .name = fmt::format("{}, {}, {} against {}", features.name(),
                          features.resize(), images, reference.name)};
  const at::Tensor found = features(pixels);
  if (reference.is_statistics()) {
    score.frechet_distance =
        tasks::frechet_distance_to(found, reference.mean, reference.covariance);
    return score;
  }
  const tasks::ImageComparison comparison = tasks::compare_features(
      found,
      features_of_real(features, reference.pixels, options.feature_cache),
      options.neighbours);
  score.frechet_distance = comparison.frechet_distance;
  score.precision = comparison.precision;
  score.recall = comparison.recall;
  score.neighbours = options.neighbours;
  score.num_neighbour_images = comparison.num_neighbour_images;
  return score;
}

}  // namespace

at::Tensor pixels_of(const data::Dataset& set) {
  const data::DatasetInfo& info = set.info();
  const std::vector<int64_t> samples = set.readable_samples();
  const auto count = static_cast<int64_t>(samples.size());
  at::Tensor planar =
      at::empty({count, info.channels, info.rows, info.columns}, at::kByte);
  auto* to = planar.mutable_data_ptr<uint8_t>();
  for (const int64_t i : samples) {
    const std::vector<uint8_t> pixels = set.pixels(i);
    to = std::copy(pixels.begin(), pixels.end(), to);
  }
  return planar.permute({0, 2, 3, 1}).contiguous();
}

ForeignImages open_images(const std::string& file,
                          const FeatureNetworks& networks,
                          const data::DatasetInfo& info) {
  data::ImageArchive images = data::read_image_archive(file);
  for (const int64_t label : images.classes.value_or(std::vector<int64_t>{})) {
    DBLOCKS_CHECK(label >= 0 && label < info.num_classes(), ConfigError,
                  "[eval] expected classes of 0 to {} as in the data of the "
                  "run, found {}: {}",
                  info.num_classes() - 1, label, file);
  }
  return foreign_images(std::move(images), file, networks, info);
}

Reference open_reference(const tasks::EvaluationOptions& options,
                         const FeatureNetworks& networks,
                         const data::DataSplits& data) {
  const std::string& file = options.reference_file;
  if (file.empty()) {
    const bool is_train = options.reference == tasks::ReferenceSet::kTrain;
    const data::Dataset& set = is_train ? data.train : data.test;
    const at::Tensor pixels = pixels_of(set);
    return {
        .name = fmt::format("the {} {} images of {}", pixels.size(0),
                            is_train ? "training" : "test", set.info().name),
        .pixels = pixels,
        .mean = {},
        .covariance = {}};
  }
  auto found = data::read_reference(file);
  if (const auto* known = std::get_if<data::FeatureStatistics>(&found)) {
    return statistics(*known, file, networks);
  }
  const ForeignImages images =
      foreign_images(std::get<data::ImageArchive>(std::move(found)), file,
                     networks, data.test.info());
  return {.name = fmt::format("the {} images of {}", images.pixels.size(0),
                              images.name),
          .pixels = images.pixels,
          .mean = {},
          .covariance = {}};
}

void check_comparable(int64_t num_images,
                      const Reference& reference,
                      const tasks::EvaluationOptions& options) {
  if (reference.is_statistics()) {
    return;
  }
  const int64_t num_real = reference.pixels.size(0);
  DBLOCKS_CHECK(std::min(num_images, num_real) > options.neighbours,
                ConfigError,
                "[eval] expected more images than evaluation.neighbours = {}, "
                "found {} and {} real ones",
                options.neighbours, num_images, num_real);
}

std::vector<report::ImageScore> compare_images(
    const at::Tensor& pixels,
    const std::string& images,
    const Reference& reference,
    const FeatureNetworks& networks,
    const tasks::EvaluationOptions& options) {
  std::vector<report::ImageScore> scores;
  if (reference.is_statistics()) {
    scores.push_back(
        compare(pixels, images, reference, *networks.inception, options));
    return scores;
  }
  for (const tasks::ImageFeatures* features : networks.in_use()) {
    scores.push_back(compare(pixels, images, reference, *features, options));
  }
  return scores;
}

}  // namespace dblocks::cli
