// SPDX-License-Identifier: Apache-2.0
#include "cli/feature_networks.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "cli/run_data.h"
#include "dblocks/checkpoint/safetensors.h"
#include "dblocks/core/error.h"
#include "dblocks/core/file_system.h"
#include "dblocks/core/flat_state.h"
#include "dblocks/core/hash.h"
#include "dblocks/core/log.h"
#include "dblocks/train/run_reader.h"

namespace dblocks::cli {
namespace {

constexpr const char* kFeaturesName = "features";

/// A finished end-to-end classifier of ours on the same kind of images.
std::unique_ptr<tasks::ClassifierFeatures> open_classifier(
    const std::string& run,
    const data::DatasetInfo& images,
    at::Device device) {
  const TrainedNetwork network = open_network(run, device);
  const train::RunSetup& setup = network.setup;
  DBLOCKS_CHECK(setup.task.kind == tasks::TaskKind::kClassification &&
                    setup.task.method == tasks::Method::kEndToEnd,
                ConfigError,
                "[eval] expected evaluation.classifier to be a run with task = "
                "classification and method = end_to_end, found {} and {}: {}",
                enum_name(setup.task.kind), enum_name(setup.task.method), run);
  const data::DatasetInfo& own = network.data;
  DBLOCKS_CHECK(own.channels == images.channels && own.rows == images.rows &&
                    own.columns == images.columns &&
                    own.num_classes() == images.num_classes(),
                ConfigError,
                "[eval] expected a classifier of {} classes of {} x {} x {} "
                "images, found {} classes of {} x {} x {}: {}",
                images.num_classes(), images.channels, images.rows,
                images.columns, own.num_classes(), own.channels, own.rows,
                own.columns, run);
  const train::RunReader reader(setup, train::RunFolder(run));
  std::unique_ptr<tasks::Unit> unit = reader.load_unit(0, device);
  const auto& files = reader.checkpoints().units[0]->manifest.files;
  const auto weights = std::ranges::find(files, checkpoint::kWeightsName,
                                         &checkpoint::ManifestFile::name);
  DBLOCKS_ASSERT(weights != files.end(), "a checkpoint without weights");
  return std::make_unique<tasks::ClassifierFeatures>(
      std::unique_ptr<tasks::PlainUnit>(
          dynamic_cast<tasks::PlainUnit*>(unit.release())),
      weights->hash.hex().substr(0, 8),
      setup.loader.mean.empty() ? own.mean : setup.loader.mean,
      setup.loader.std.empty() ? own.std : setup.loader.std);
}

std::unique_ptr<tasks::InceptionFeatures> open_inception(
    const tasks::EvaluationOptions& options, at::Device device) {
  const checkpoint::SafetensorsFile file(options.inception);
  Hasher hasher;
  for (const TensorBytes& tensor : file.tensors()) {
    hasher.update(tensor.name);
    hasher.update(tensor.bytes);
  }
  return std::make_unique<tasks::InceptionFeatures>(
      models::Inception(file.tensors(), options.inception, device),
      hasher.digest().hex().substr(0, 8), options.inception_resize);
}

/// The file of the features of these pixels; another network, scale or image
/// has another file.
std::filesystem::path cache_file(const tasks::ImageFeatures& features,
                                 const at::Tensor& pixels,
                                 const std::string& cache) {
  Hasher hasher;
  hasher.update(fmt::format("{}, {}, {}", features.name(), features.resize(),
                            fmt::join(pixels.sizes(), " x ")));
  hasher.update({static_cast<const std::byte*>(pixels.const_data_ptr()),
                 static_cast<size_t>(pixels.nbytes())});
  return std::filesystem::path(cache) /
         fmt::format("features_{}.safetensors", hasher.digest().hex());
}

/// *Errors*: CheckpointError if the file does not hold `count` vectors of
/// finite numbers.
at::Tensor read_features(const std::filesystem::path& path, int64_t count) {
  const checkpoint::SafetensorsFile file(path);
  const TensorBytes& found = file.at(kFeaturesName);
  DBLOCKS_CHECK(found.dtype == DType::kF32 && found.shape.size() == 2 &&
                    found.shape[0] == count && found.shape[1] > 0,
                CheckpointError,
                "[eval] {}: expected the features of {} images, found another "
                "type or shape",
                path.string(), count);
  at::Tensor features =
      at::from_blob(const_cast<std::byte*>(found.bytes.data()),
                    {static_cast<int64_t>(found.bytes.size())}, at::kByte)
          .clone()
          .view(at::kFloat)
          .view(found.shape);
  DBLOCKS_CHECK(at::isfinite(features).all().item<bool>(), CheckpointError,
                "[eval] {}: expected finite features, found others",
                path.string());
  return features;
}

}  // namespace

std::vector<const tasks::ImageFeatures*> FeatureNetworks::in_use() const {
  std::vector<const tasks::ImageFeatures*> result;
  if (inception) {
    result.push_back(inception.get());
  }
  if (classifier) {
    result.push_back(classifier.get());
  }
  if (result.empty()) {
    result.push_back(&pixels);
  }
  return result;
}

const tasks::ImageFeatures& FeatureNetworks::quick() const {
  return classifier ? static_cast<const tasks::ImageFeatures&>(*classifier)
                    : pixels;
}

FeatureNetworks open_feature_networks(const tasks::EvaluationOptions& options,
                                      const data::DatasetInfo& images,
                                      at::Device device) {
  FeatureNetworks networks;
  if (!options.inception.empty()) {
    networks.inception = open_inception(options, device);
  }
  if (!options.classifier.empty()) {
    networks.classifier = open_classifier(options.classifier, images, device);
  }
  return networks;
}

at::Tensor features_of_real(const tasks::ImageFeatures& features,
                            const at::Tensor& pixels,
                            const std::string& cache) {
  if (cache.empty()) {
    return features(pixels);
  }
  const std::filesystem::path file = cache_file(features, pixels, cache);
  if (real_file_system().exists(file)) {
    try {
      return read_features(file, pixels.size(0));
    } catch (const Error& error) {
      log().warn("{}; the features are computed anew", error.what());
    }
  }
  at::Tensor found = features(pixels);
  try {
    std::filesystem::create_directories(cache);
    const TensorBytes bytes = as_bytes(kFeaturesName, found);
    checkpoint::write_safetensors(
        real_file_system(), file, {&bytes, 1},
        {{"features", features.name()}, {"resize", features.resize()}});
  } catch (const std::exception& error) {
    log().warn("[eval] the features of real images are not kept in {}: {}",
               cache, error.what());
  }
  return found;
}

}  // namespace dblocks::cli
