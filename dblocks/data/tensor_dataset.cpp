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

class Tensors : public PixelSource {
 public:
  Tensors(std::shared_ptr<const SafetensorsFile> file, const DatasetInfo& info)
      : file_(std::move(file)),
        images_(&file_->at("images")),
        sample_size_(static_cast<size_t>(info.pixel_bytes())) {}

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

  bool has_values() const override { return images_->dtype == DType::kF32; }
  void values(int64_t i, std::span<float> out) const override {
    std::memcpy(out.data(), sample(i).data(), out.size_bytes());
    for (const float value : out) {
      DBLOCKS_CHECK(std::isfinite(value), DataError,
                    "[read_tensor_dataset] expected finite numbers, found {}: "
                    "{}, sample {} of images",
                    value, file_->path().string(), i);
    }
  }

 private:
  std::span<const std::byte> sample(int64_t i) const {
    const size_t size = sample_size_ * dtype_bytes(images_->dtype);
    return images_->bytes.subspan(static_cast<size_t>(i) * size, size);
  }

  std::shared_ptr<const SafetensorsFile> file_;
  const TensorBytes* images_;
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
  DBLOCKS_CHECK(shape[0] >= 1 && (shape[1] == 1 || shape[1] == 3) &&
                    shape[2] >= 1 && shape[2] <= kMaxSide && shape[3] >= 1 &&
                    shape[3] <= kMaxSide,
                DataError,
                "[read_tensor_dataset] expected a shape [N, 1 or 3, Y, X] with "
                "sides of 1 to {}, found [{}]: {}, tensor images",
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

Dataset make_dataset(std::shared_ptr<const SafetensorsFile> file,
                     std::vector<int64_t> labels,
                     const DatasetInfo& info) {
  check_labels(labels, info.num_classes(), file->path());
  return Dataset(info, std::move(labels),
                 std::make_shared<Tensors>(std::move(file), info));
}

}  // namespace

DataSplits read_tensor_dataset(
    const fs::path& root,
    const std::function<void(DatasetInfo& info)>& set_statistics) {
  const auto train = open_file(root / "train.safetensors");
  const auto test = open_file(root / "test.safetensors");
  check_images(*train);
  check_images(*test);
  const std::vector<int64_t>& shape = train->at("images").shape;
  const std::vector<int64_t>& other = test->at("images").shape;
  DBLOCKS_CHECK(
      std::equal(shape.begin() + 1, shape.end(), other.begin() + 1), DataError,
      "[read_tensor_dataset] expected images of shape [{}] as in {}, "
      "found [{}]: {}",
      fmt::join(shape.begin() + 1, shape.end(), ", "), train->path().string(),
      fmt::join(other.begin() + 1, other.end(), ", "), test->path().string());
  std::vector<int64_t> labels = read_labels(*train);
  DatasetInfo info{.name = "safetensors",
                   .channels = shape[1],
                   .rows = shape[2],
                   .columns = shape[3],
                   .class_names = class_names(*train, labels)};
  set_statistics(info);
  return {make_dataset(train, std::move(labels), info),
          make_dataset(test, read_labels(*test), info)};
}

}  // namespace dblocks::data
