// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/tensor_dataset.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "dblocks/checkpoint/safetensors.h"
#include "dblocks/core/error.h"

namespace dblocks::data {
namespace {

namespace fs = std::filesystem;
using checkpoint::SafetensorsFile;
using Json = nlohmann::json;

constexpr int64_t kMaxClasses = 65'536;
constexpr int64_t kMaxSide = 65'500;
constexpr int64_t kMaxValueChannels = 16;

using Shards = std::vector<std::shared_ptr<const SafetensorsFile>>;

class Tensors : public PixelSource {
 public:
  Tensors(Shards shards, const DatasetInfo& info)
      : shards_(std::move(shards)),
        sample_size_(static_cast<size_t>(info.pixel_bytes())) {
    for (const auto& shard : shards_) {
      images_.push_back(&shard->at("images"));
      ends_.push_back((ends_.empty() ? 0 : ends_.back()) +
                      images_.back()->shape[0]);
    }
  }

  std::span<const uint8_t> pixels(int64_t i,
                                  std::vector<uint8_t>& buffer) const override {
    if (!has_values()) {
      const std::span<const std::byte> bytes = sample(i);
      return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
    }
    std::vector<float> numbers(sample_size_);
    values(i, numbers);
    buffer.resize(sample_size_);
    std::ranges::transform(numbers, buffer.begin(), [](float value) {
      return static_cast<uint8_t>(
          std::lrint(std::clamp(value, 0.f, 1.f) * 255));
    });
    return buffer;
  }

  bool has_values() const override {
    return images_.front()->dtype == DType::kF32;
  }
  void values(int64_t i, std::span<float> out) const override {
    std::memcpy(out.data(), sample(i).data(), out.size_bytes());
    for (const float value : out) {
      DBLOCKS_CHECK(std::isfinite(value), DataError,
                    "[read_tensor_dataset] expected finite numbers, found {}: "
                    "{}, sample {} of images",
                    value, shards_[shard_of(i)]->path().string(),
                    i - first_of(shard_of(i)));
    }
  }

 private:
  size_t shard_of(int64_t i) const {
    return static_cast<size_t>(std::ranges::upper_bound(ends_, i) -
                               ends_.begin());
  }
  int64_t first_of(size_t shard) const {
    return shard == 0 ? 0 : ends_[shard - 1];
  }
  std::span<const std::byte> sample(int64_t i) const {
    const size_t shard = shard_of(i);
    const TensorBytes& images = *images_[shard];
    const size_t size = sample_size_ * dtype_bytes(images.dtype);
    return images.bytes.subspan(static_cast<size_t>(i - first_of(shard)) * size,
                                size);
  }

  Shards shards_;
  std::vector<const TensorBytes*> images_;
  std::vector<int64_t> ends_;  // one past the last sample of each shard
  size_t sample_size_;
};

// A damaged file of tensors is damaged data here, not a damaged checkpoint.
std::shared_ptr<const SafetensorsFile> open_file(const fs::path& path) {
  try {
    auto file = std::make_shared<const SafetensorsFile>(path);
    file->at("images");
    file->at("labels");
    return file;
  } catch (const CheckpointError& error) {
    throw DataError(error.what());
  }
}

void check_images(const SafetensorsFile& file) {
  const TensorBytes& images = file.at("images");
  const std::vector<int64_t>& shape = images.shape;
  DBLOCKS_CHECK((images.dtype == DType::kU8 || images.dtype == DType::kF32) &&
                    shape.size() == 4,
                DataError,
                "[read_tensor_dataset] expected U8 or F32 of 4 dimensions, "
                "found {} of {}: {}, tensor images",
                dtype_name(images.dtype), shape.size(), file.path().string());
  const bool has_values = images.dtype == DType::kF32;
  const bool has_channels = has_values
                                ? shape[1] >= 1 && shape[1] <= kMaxValueChannels
                                : shape[1] == 1 || shape[1] == 3;
  DBLOCKS_CHECK(
      shape[0] >= 1 && has_channels && shape[2] >= 1 && shape[2] <= kMaxSide &&
          shape[3] >= 1 && shape[3] <= kMaxSide,
      DataError,
      "[read_tensor_dataset] expected a shape [N, {}, Y, X] with "
      "sides of 1 to {}, found [{}]: {}, tensor images",
      has_values ? fmt::format("1 to {}", kMaxValueChannels) : "1 or 3",
      kMaxSide, fmt::join(shape, ", "), file.path().string());
}

std::vector<int64_t> read_labels(const SafetensorsFile& file) {
  const TensorBytes& tensor = file.at("labels");
  const int64_t count = file.at("images").shape[0];
  DBLOCKS_CHECK(
      tensor.dtype == DType::kI64 && tensor.shape == std::vector{count},
      DataError,
      "[read_tensor_dataset] expected I64 [{}], one label per image, found {} "
      "[{}]: {}, tensor labels",
      count, dtype_name(tensor.dtype), fmt::join(tensor.shape, ", "),
      file.path().string());
  std::vector<int64_t> labels(static_cast<size_t>(count));
  std::memcpy(labels.data(), tensor.bytes.data(), tensor.bytes.size());
  return labels;
}

void check_labels(const std::vector<int64_t>& labels,
                  int64_t num_classes,
                  const fs::path& path) {
  for (size_t i = 0; i < labels.size(); ++i) {
    DBLOCKS_CHECK(labels[i] >= 0 && labels[i] < num_classes, DataError,
                  "[read_tensor_dataset] expected labels of 0 to {}, found {} "
                  "for sample {}: {}",
                  num_classes - 1, labels[i], i, path.string());
  }
}

std::vector<std::string> parse_names(const SafetensorsFile& file,
                                     const std::string& text) {
  const Json list = Json::parse(text, nullptr, false);
  const bool is_list =
      list.is_array() && !list.empty() &&
      std::all_of(list.begin(), list.end(),
                  [](const Json& name) { return name.is_string(); });
  DBLOCKS_CHECK(is_list && list.size() <= size_t{kMaxClasses}, DataError,
                "[read_tensor_dataset] expected a JSON list of 1 to {} "
                "strings, found something else: {}, metadata class_names",
                kMaxClasses, file.path().string());
  return list.get<std::vector<std::string>>();
}

std::vector<std::string> class_names(const SafetensorsFile& train,
                                     const std::vector<int64_t>& labels) {
  const auto given = train.metadata().find("class_names");
  if (given != train.metadata().end()) {
    return parse_names(train, given->second);
  }
  check_labels(labels, kMaxClasses, train.path());
  std::vector<std::string> names;
  for (int64_t i = 0; i <= *std::ranges::max_element(labels); ++i) {
    names.push_back(fmt::format("{}", i));
  }
  return names;
}

/// SPLIT.safetensors, or shards SPLIT-00001-of-0000N.safetensors, all of them.
Shards open_split(const fs::path& root, const std::string& split) {
  const fs::path whole = root / (split + ".safetensors");
  std::error_code error;
  const fs::path first = root / (split + "-00001-of-");
  int64_t count = 0;
  for (const auto& entry : fs::directory_iterator(root, error)) {
    const std::string name = entry.path().filename().string();
    const std::string start = first.filename().string();
    const bool is_first = name.starts_with(start) &&
                          name.ends_with(".safetensors") &&
                          name.size() == start.size() + 5 + 12;
    const std::string digits = is_first ? name.substr(start.size(), 5) : "";
    if (is_first && std::ranges::all_of(
                        digits, [](char c) { return c >= '0' && c <= '9'; })) {
      DBLOCKS_CHECK(count == 0 && !fs::exists(whole), DataError,
                    "[read_tensor_dataset] expected one set of shards or one "
                    "file, found more: {}",
                    entry.path().string());
      count = std::stoll(digits);
      DBLOCKS_CHECK(count >= 1, DataError,
                    "[read_tensor_dataset] expected shards numbered from 1, "
                    "found {}",
                    entry.path().string());
    }
  }
  if (count == 0) {
    return {open_file(whole)};
  }
  Shards shards;
  for (int64_t i = 1; i <= count; ++i) {
    shards.push_back(open_file(
        root / fmt::format("{}-{:05}-of-{:05}.safetensors", split, i, count)));
  }
  return shards;
}

/// Checks that all shards hold images of the shape and type of `first`'s.
void check_shards(const Shards& shards, const SafetensorsFile& first) {
  const TensorBytes& wanted = first.at("images");
  for (const auto& shard : shards) {
    check_images(*shard);
    const TensorBytes& images = shard->at("images");
    DBLOCKS_CHECK(
        std::equal(wanted.shape.begin() + 1, wanted.shape.end(),
                   images.shape.begin() + 1) &&
            (images.dtype == DType::kF32) == (wanted.dtype == DType::kF32),
        DataError,
        "[read_tensor_dataset] expected {} images of shape [{}] as in {}, "
        "found {} [{}]: {}",
        dtype_name(wanted.dtype),
        fmt::join(wanted.shape.begin() + 1, wanted.shape.end(), ", "),
        first.path().string(), dtype_name(images.dtype),
        fmt::join(images.shape.begin() + 1, images.shape.end(), ", "),
        shard->path().string());
  }
}

std::vector<int64_t> all_labels(const Shards& shards) {
  std::vector<int64_t> labels;
  for (const auto& shard : shards) {
    const std::vector<int64_t> own = read_labels(*shard);
    labels.insert(labels.end(), own.begin(), own.end());
  }
  return labels;
}

/// Numbers that the metadata of the first shard gives for each channel; empty
/// if it gives none.
std::vector<double> statistic(const SafetensorsFile& file,
                              const std::string& key,
                              int64_t num_channels) {
  const auto given = file.metadata().find(key);
  if (given == file.metadata().end()) {
    return {};
  }
  const Json list = Json::parse(given->second, nullptr, false);
  const bool is_list =
      list.is_array() && static_cast<int64_t>(list.size()) == num_channels &&
      std::all_of(list.begin(), list.end(), [&](const Json& number) {
        return number.is_number() && std::isfinite(number.get<double>()) &&
               (key != "std" || number.get<double>() > 0);
      });
  DBLOCKS_CHECK(is_list, DataError,
                "[read_tensor_dataset] expected a JSON list of {} finite "
                "numbers, deviations above 0, found something else: {}, "
                "metadata {}",
                num_channels, file.path().string(), key);
  return list.get<std::vector<double>>();
}

Dataset make_dataset(Shards shards,
                     std::vector<int64_t> labels,
                     const DatasetInfo& info) {
  for (const auto& shard : shards) {
    check_labels(read_labels(*shard), info.num_classes(), shard->path());
  }
  return Dataset(info, std::move(labels),
                 std::make_shared<Tensors>(std::move(shards), info));
}

}  // namespace

DataSplits read_tensor_dataset(
    const fs::path& root,
    const std::function<void(DatasetInfo& info)>& set_statistics) {
  Shards train = open_split(root, "train");
  Shards test = open_split(root, "test");
  const SafetensorsFile& first = *train.front();
  check_images(first);
  check_shards(train, first);
  check_images(*test.front());
  check_shards(test, *test.front());
  const std::vector<int64_t>& shape = first.at("images").shape;
  const std::vector<int64_t>& other = test.front()->at("images").shape;
  DBLOCKS_CHECK(
      std::equal(shape.begin() + 1, shape.end(), other.begin() + 1), DataError,
      "[read_tensor_dataset] expected images of shape [{}] as in {}, "
      "found [{}]: {}",
      fmt::join(shape.begin() + 1, shape.end(), ", "), first.path().string(),
      fmt::join(other.begin() + 1, other.end(), ", "),
      test.front()->path().string());
  std::vector<int64_t> labels = all_labels(train);
  DatasetInfo info{.name = "safetensors",
                   .channels = shape[1],
                   .rows = shape[2],
                   .columns = shape[3],
                   .class_names = class_names(first, labels),
                   .mean = statistic(first, "mean", shape[1]),
                   .std = statistic(first, "std", shape[1])};
  set_statistics(info);
  return {make_dataset(std::move(train), std::move(labels), info),
          make_dataset(test, all_labels(test), info)};
}

}  // namespace dblocks::data
