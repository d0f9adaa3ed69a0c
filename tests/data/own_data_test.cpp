// SPDX-License-Identifier: Apache-2.0
// Data of one's own: image folders and tensors, whole and damaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "dblocks/checkpoint/safetensors.h"
#include "dblocks/core/error.h"
#include "dblocks/data/dataset.h"
#include "dblocks/data/loader.h"
#include "tests/data/support.h"

namespace dblocks::data {
namespace {

namespace fs = std::filesystem;
using testing::Bytes;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::write_file;
using testing::write_text;

Bytes file_of(const std::string& name) {
  static const auto content =
      nlohmann::json::parse(std::ifstream("tests/data/image_reference.json"));
  for (const auto& file : content["files"]) {
    if (file["name"] == name) {
      return testing::from_hex(file["file"]);
    }
  }
  ADD_FAILURE() << name;
  return {};
}

class ImageFolderTest : public ::testing::Test {
 protected:
  ImageFolderTest() {
    for (int i = 0; i < 6; ++i) {
      add("train/dog", fmt::format("{}.png", i), "colour");
      add("train/cat", fmt::format("{}.JPG", i), "jpeg");
    }
    add("test/dog", "a.jpeg", "jpeg_grey");
    add("test/cat", "b.png", "palette");
    write_text(root_.path() / "train/dog/.DS_Store", "x");
    write_text(root_.path() / "train/notes.txt", "x");
  }

  void add(const std::string& folder,
           const std::string& name,
           const std::string& kind) {
    write_file(root_.path() / folder / name, file_of(kind));
  }

  DataOptions options() {
    return {.dataset = "image_folder",
            .root = root_.path().string(),
            .image_size = 8};
  }

  LoaderOptions loader(int64_t workers) {
    return {.batch_size = 4,
            .workers = workers,
            .prefetch = 3,
            .seed = 5,
            .augment = {.flip = true, .random_resized_crop = true}};
  }

  TemporaryFolder root_;
};

TEST_F(ImageFolderTest, ClassesAndImagesFollowTheirNames) {
  const DataSplits splits = open_dataset(options());
  EXPECT_THAT(splits.train.info().class_names, ElementsAre("cat", "dog"));
  EXPECT_EQ(splits.train.size(), 12);
  EXPECT_EQ(splits.train.label(0), 0);
  EXPECT_EQ(splits.train.label(11), 1);
  EXPECT_EQ(splits.test.size(), 2);
  EXPECT_EQ(splits.train.pixels(3).size(), 3u * 8 * 8);
  DataOptions grey = options();
  grey.image_channels = 1;
  EXPECT_EQ(open_dataset(grey).test.pixels(1).size(), 8u * 8);
}

TEST_F(ImageFolderTest, SaysWhatIsMissing) {
  const auto error = [&] {
    return error_of<DataError>([&] { open_dataset(options()); });
  };
  fs::create_directories(root_.path() / "test/horse");
  EXPECT_THAT(error(), HasSubstr("test/horse"));
  fs::remove(root_.path() / "test/horse");
  fs::create_directories(root_.path() / "train/cow");
  EXPECT_THAT(error(), HasSubstr("train/cow"));
  fs::remove_all(root_.path() / "train/cow");
  fs::rename(root_.path() / "test", root_.path() / "val");
  EXPECT_EQ(open_dataset(options()).test.size(), 2);
  fs::remove_all(root_.path() / "val");
  EXPECT_THAT(error(), HasSubstr("/val"));
  DataOptions unsized_options = options();
  unsized_options.image_size = 0;
  EXPECT_THAT(error_of<ConfigError>([&] { open_dataset(unsized_options); }),
              HasSubstr("data.image_size"));
}

TEST_F(ImageFolderTest, WorkersDoNotChangeABitOfRandomCrops) {
  const Dataset train = open_dataset(options()).train;
  std::vector<std::vector<float>> expected;
  for (const int64_t workers : {0, 1, 3}) {
    Loader batches(train, loader(workers));
    for (size_t step = 0; step < 7; ++step) {
      const Batch& batch = batches.next();
      if (workers == 0) {
        expected.push_back(batch.images);
      }
      ASSERT_EQ(batch.images, expected[step]) << workers << " " << step;
    }
  }
  EXPECT_NE(expected[0], expected[3]);  // another epoch, other crops
}

// Batches of one epoch, with sample 3 damaged or not.
struct Visits {
  std::vector<int64_t> ids;
  std::vector<std::vector<float>> images;
};

Visits visits_of(const Dataset& set, const LoaderOptions& options) {
  Visits visits;
  Loader batches(set, options);
  for (int64_t step = 0; step < batches.batches_per_epoch(); ++step) {
    const Batch& batch = batches.next();
    const size_t size = batch.images.size() / batch.sample_ids.size();
    for (size_t i = 0; i < batch.sample_ids.size(); ++i) {
      visits.ids.push_back(batch.sample_ids[i]);
      visits.images.emplace_back(
          batch.images.begin() + ptrdiff_t(i * size),
          batch.images.begin() + ptrdiff_t((i + 1) * size));
    }
  }
  return visits;
}

TEST_F(ImageFolderTest, SkippingADamagedSampleLeavesTheOthersInPlace) {
  const Visits whole = visits_of(open_dataset(options()).train, loader(2));
  const fs::path bad = root_.path() / "train/cat/3.JPG";
  fs::resize_file(bad, 200);
  EXPECT_THAT(error_of<DataError>(
                  [&] { visits_of(open_dataset(options()).train, loader(2)); }),
              HasSubstr(bad.string()));
  DataOptions skipping = options();
  skipping.on_bad_sample = BadSamplePolicy::kSkip;
  for (const int64_t workers : {0, 3}) {
    const Dataset train = open_dataset(skipping).train;
    const Visits rest = visits_of(train, loader(workers));
    ASSERT_EQ(rest.ids.size(), whole.ids.size());
    for (size_t i = 0; i < whole.ids.size(); ++i) {
      if (whole.ids[i] == 3) {
        EXPECT_EQ(rest.ids[i], 4);
      } else {
        EXPECT_EQ(rest.ids[i], whole.ids[i]);
        EXPECT_EQ(rest.images[i], whole.images[i]);
      }
    }
    const std::vector<BadSample> found = train.bad_samples()->list();
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].sample, 3);
    EXPECT_THAT(found[0].reason, HasSubstr(bad.string()));
    const std::vector<int64_t> readable = train.readable_samples();
    EXPECT_EQ(readable.size(), 11u);
    EXPECT_THAT(readable, ::testing::Not(::testing::Contains(3)));
  }
}

TEST_F(ImageFolderTest, SkippingEndsWhenNothingIsLeft) {
  for (const auto& entry :
       fs::recursive_directory_iterator(root_.path() / "train")) {
    if (entry.is_regular_file()) {
      write_text(entry.path(), "no image");
    }
  }
  DataOptions skipping = options();
  skipping.on_bad_sample = BadSamplePolicy::kSkip;
  const Dataset train = open_dataset(skipping).train;
  EXPECT_THAT(error_of<DataError>([&] { visits_of(train, loader(1)); }),
              HasSubstr("12 damaged"));
  EXPECT_THAT(error_of<DataError>([&] { train.readable_samples(); }),
              HasSubstr("12 damaged"));
}

class TensorDatasetTest : public ::testing::Test {
 protected:
  template <class T>
  static std::span<const std::byte> bytes_of(const std::vector<T>& values) {
    return std::as_bytes(std::span(values));
  }

  template <class T>
  void write(const std::string& split,
             DType dtype,
             const std::vector<T>& images,
             const std::vector<int64_t>& labels,
             const checkpoint::Metadata& metadata = {}) {
    const auto count = static_cast<int64_t>(images.size()) / 12;
    const std::vector<TensorBytes> tensors = {
        {"images", dtype, {count, 3, 2, 2}, bytes_of(images)},
        {"labels",
         DType::kI64,
         {static_cast<int64_t>(labels.size())},
         bytes_of(labels)}};
    checkpoint::write_safetensors(real_file_system(),
                                  root_.path() / (split + ".safetensors"),
                                  tensors, metadata);
  }

  DataSplits open() {
    return open_dataset(
        {.dataset = "safetensors", .root = root_.path().string()});
  }
  std::string error() {
    return error_of<DataError>([&] { open(); });
  }

  TemporaryFolder root_;
};

TEST_F(TensorDatasetTest, ReadsLevelsAndClassNames) {
  Bytes levels;
  for (int i = 0; i < 24; ++i) {
    levels.push_back(static_cast<uint8_t>(10 * i));
  }
  write("train", DType::kU8, levels, {1, 0},
        {{"class_names", R"(["left", "right", "up"])"}});
  write("test", DType::kU8, levels, {2, 0});
  const DataSplits splits = open();
  EXPECT_THAT(splits.test.info().class_names,
              ElementsAre("left", "right", "up"));
  EXPECT_EQ(splits.train.label(0), 1);
  EXPECT_EQ(splits.test.pixels(1), Bytes(levels.begin() + 12, levels.end()));
}

TEST_F(TensorDatasetTest, TakesNumbersAsTheyAre) {
  std::vector<float> numbers(24, 0.25f);
  numbers[13] = 2.f;
  write("train", DType::kF32, numbers, {0, 1});
  write("test", DType::kF32, numbers, {0, 1});
  const DataSplits splits = open();
  EXPECT_EQ(splits.train.info().num_classes(), 2);
  const Batch batch = evaluation_batch(splits.train, 1, 1);
  EXPECT_FLOAT_EQ(batch.images[0], (0.25f - 0.5f) / 0.5f);
  EXPECT_FLOAT_EQ(batch.images[1], 3.f);
  EXPECT_EQ(splits.train.pixels(1)[1], 255);
  EXPECT_THAT(error_of<ConfigError>([&] {
                Loader(splits.train,
                       {.batch_size = 1, .augment = {.flip = true}});
              }),
              HasSubstr("data.augment"));
}

TEST_F(TensorDatasetTest, ShardsAreOneSetInTheOrderOfTheirNumbers) {
  std::vector<float> numbers(36);
  std::iota(numbers.begin(), numbers.end(), 0.f);
  const std::vector<float> two(numbers.begin(), numbers.begin() + 24);
  const std::vector<float> one(numbers.begin() + 24, numbers.end());
  write("train-00001-of-00002", DType::kF32, two, {0, 1},
        {{"mean", "[1, 2, 3]"}, {"std", "[4, 5, 6]"}});
  EXPECT_THAT(error(), HasSubstr("train-00002-of-00002"));
  write("train-00002-of-00002", DType::kF32, one, {2});
  write("test", DType::kF32, one, {1});
  const Dataset train = open().train;
  ASSERT_EQ(train.size(), 3);
  EXPECT_EQ(train.info().num_classes(), 3);
  EXPECT_EQ(train.label(2), 2);
  EXPECT_THAT(train.info().mean, ElementsAre(1, 2, 3));
  EXPECT_THAT(train.info().std, ElementsAre(4, 5, 6));
  const Batch batch = evaluation_batch(train, 0, 3);
  for (size_t i = 0; i < 36; ++i) {
    const size_t channel = i % 12 / 4;
    EXPECT_FLOAT_EQ(batch.images[i],
                    (numbers[i] - static_cast<float>(1 + channel)) /
                        static_cast<float>(4 + channel));
  }
  write("train-00002-of-00002", DType::kU8, Bytes(12, 1), {2});
  EXPECT_THAT(error(), HasSubstr("train-00002-of-00002"));
  write("train-00002-of-00002", DType::kF32, one, {2});
  fs::resize_file(root_.path() / "train-00002-of-00002.safetensors", 90);
  EXPECT_THAT(error(), HasSubstr("train-00002-of-00002"));
  write("train-00002-of-00002", DType::kF32, one, {-1});
  EXPECT_THAT(error(), HasSubstr("found -1"));
  write("train-00002-of-00002", DType::kF32, one, {2});
  write("train", DType::kF32, one, {1});
  EXPECT_THAT(error(), HasSubstr("one set of shards"));
}

TEST_F(TensorDatasetTest, StatisticsThatAreNoneAreNamed) {
  write("test", DType::kU8, Bytes(12, 1), {0});
  for (const std::string bad :
       {"[1, 2]", "[1, 2, 0]", "[1, 2, \"x\"]", "7", "[1, 2, 1e999]"}) {
    write("train", DType::kU8, Bytes(12, 1), {0}, {{"std", bad}});
    EXPECT_THAT(error(), HasSubstr("metadata std")) << bad;
  }
}

TEST_F(TensorDatasetTest, NumbersMayHaveMoreChannelsThanPicturesHave) {
  const auto write_latents = [&](const std::string& split, DType dtype,
                                 int64_t channels) {
    const std::vector<float> numbers(static_cast<size_t>(4 * channels), 1.5f);
    const std::vector<int64_t> labels = {0};
    const size_t bytes = numbers.size() * (dtype == DType::kF32 ? 4 : 1);
    checkpoint::write_safetensors(
        real_file_system(), root_.path() / (split + ".safetensors"),
        std::vector<TensorBytes>{
            {"images",
             dtype,
             {1, channels, 2, 2},
             bytes_of(numbers).subspan(0, bytes)},
            {"labels", DType::kI64, {1}, bytes_of(labels)}});
  };
  write_latents("train", DType::kF32, 4);
  write_latents("test", DType::kF32, 4);
  EXPECT_EQ(open().train.info().channels, 4);
  EXPECT_FLOAT_EQ(evaluation_batch(open().train, 0, 1).images[15], 2.f);
  write_latents("train", DType::kF32, 17);
  EXPECT_THAT(error(), HasSubstr("1 to 16"));
  write_latents("train", DType::kU8, 4);
  EXPECT_THAT(error(), HasSubstr("1 or 3"));
}

TEST_F(TensorDatasetTest, NamesWhatDoesNotFit) {
  const Bytes levels(24, 1);
  EXPECT_THAT(error(), HasSubstr("train.safetensors"));
  write("train", DType::kU8, levels, {0, 1});
  EXPECT_THAT(error(), HasSubstr("test.safetensors"));
  write("test", DType::kU8, levels, {0, 2});
  EXPECT_THAT(error(), HasSubstr("found 2 for sample 1"));
  write("test", DType::kU8, levels, {0, 1, 1});
  EXPECT_THAT(error(), HasSubstr("labels"));
  write("test", DType::kU8, levels, {0, 1});
  write("train", DType::kU8, levels, {0, int64_t{1} << 62});
  EXPECT_THAT(error(), HasSubstr("65535"));
  write("train", DType::kU8, levels, {0, 1}, {{"class_names", "[1, 2]"}});
  EXPECT_THAT(error(), HasSubstr("class_names"));
  std::vector<float> numbers(24, 0.f);
  numbers[3] = std::nanf("");
  write("train", DType::kF32, numbers, {0, 1});
  EXPECT_THAT(
      error_of<DataError>([&] { evaluation_batch(open().train, 0, 1); }),
      HasSubstr("sample 0"));
}

TEST_F(TensorDatasetTest, ADamagedFileIsDamagedData) {
  write("train", DType::kU8, Bytes(24, 1), {0, 1});
  write("test", DType::kU8, Bytes(24, 1), {0, 1});
  const fs::path file = root_.path() / "train.safetensors";
  const auto size = fs::file_size(file);
  for (uintmax_t cut = 0; cut < size; cut += 7) {
    write("train", DType::kU8, Bytes(24, 1), {0, 1});
    fs::resize_file(file, cut);
    EXPECT_THAT(error(), HasSubstr(file.string()));
  }
}

}  // namespace
}  // namespace dblocks::data
