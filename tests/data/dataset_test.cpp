// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "dblocks/core/error.h"
#include "tests/data/support.h"

namespace dblocks::data {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using testing::Bytes;
using ::testing::ElementsAre;
using testing::EnvironmentVariable;
using testing::error_of;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::write_file;
using testing::write_text;

// An IDX file of `count` samples of `sample_bytes` bytes of value `fill`.
Bytes idx(uint8_t count, int sample_bytes, uint8_t fill) {
  Bytes bytes = sample_bytes == 1 ? Bytes{0, 0, 8, 1, 0, 0, 0, count}
                                  : Bytes{0, 0, 8, 3,  0, 0, 0, count,
                                          0, 0, 0, 28, 0, 0, 0, 28};
  bytes.resize(bytes.size() + static_cast<size_t>(count * sample_bytes), fill);
  return bytes;
}

void write_fashion(const fs::path& folder, uint8_t fill) {
  write_file(folder / "train-images-idx3-ubyte", idx(5, 784, fill));
  write_file(folder / "train-labels-idx1-ubyte", idx(5, 1, 9));
  write_file(folder / "t10k-images-idx3-ubyte.gz",
             testing::gzip(idx(3, 784, fill)));
  write_file(folder / "t10k-labels-idx1-ubyte.gz", testing::gzip(idx(3, 1, 2)));
}

// Leaves only data.root and what a test sets to look in.
class OpenDatasetTest : public ::testing::Test {
 protected:
  DataSplits open(const std::string& name) {
    return open_dataset({.dataset = name, .root = root_.path().string()});
  }

  TemporaryFolder root_;
  TemporaryFolder home_;
  EnvironmentVariable home_variable_{"HOME", home_.path().string()};
  EnvironmentVariable data_variable_{"DBLOCKS_DATA", ""};
};

TEST_F(OpenDatasetTest, ReadsIdxFilesPlainOrCompressed) {
  write_fashion(root_.path() / "fashion-mnist", 7);
  const DataSplits splits = open("fashion_mnist");
  EXPECT_EQ(splits.train.size(), 5);
  EXPECT_EQ(splits.test.size(), 3);
  EXPECT_EQ(splits.train.label(4), 9);
  EXPECT_EQ(splits.test.label(0), 2);
  EXPECT_EQ(splits.test.pixels(2), Bytes(784, 7));
  EXPECT_EQ(splits.train.info().class_names[9], "Ankle boot");
}

TEST_F(OpenDatasetTest, LooksInRootThenVariableThenHome) {
  write_fashion(home_.path() / ".local/share/dblocks/mnist", 1);
  EXPECT_EQ(open("mnist").train.pixels(0)[0], 1);
  TemporaryFolder other;
  write_fashion(other.path() / "mnist", 2);
  EnvironmentVariable variable("DBLOCKS_DATA", other.path().string());
  EXPECT_EQ(open("mnist").train.pixels(0)[0], 2);
  write_fashion(root_.path(), 3);
  EXPECT_EQ(open("mnist").train.pixels(0)[0], 3);
}

TEST_F(OpenDatasetTest, AMissingDataSetListsFoldersAndSaysWhatToDo) {
  const std::string message =
      error_of<DataError>([&] { open("tiny_imagenet"); });
  for (const fs::path& folder :
       {root_.path(), root_.path() / "tiny-imagenet-200",
        home_.path() / ".local/share/dblocks/tiny-imagenet-200",
        fs::path("/usr/share/datasets/tiny-imagenet-200")}) {
    EXPECT_THAT(message, HasSubstr("\n  " + folder.string() + "\n"));
  }
  EXPECT_THAT(message, HasSubstr("Hint: unpack"));
}

TEST_F(OpenDatasetTest, ARootThatIsNoFolderIsAnError) {
  const std::string message = error_of<DataError>(
      [] { open_dataset({.root = "/nonexistent/folder"}); });
  EXPECT_THAT(message,
              AllOf(HasSubstr("/nonexistent/folder"), HasSubstr("data.root")));
}

TEST_F(OpenDatasetTest, RejectsUnknownNamesAndValuesThatDoNotFit) {
  write_fashion(root_.path(), 0);
  const auto error_with = [&](DataOptions options) {
    options.root = root_.path().string();
    return error_of<ConfigError>([&] { open_dataset(options); });
  };
  EXPECT_THAT(error_with({.dataset = "fashion"}),
              AllOf(HasSubstr("'fashion'"), HasSubstr("data.dataset")));
  EXPECT_THAT(error_with({.train_samples = 6}),
              AllOf(HasSubstr("5"), HasSubstr("data.train_samples")));
  EXPECT_THAT(error_with({.test_samples = -1}), HasSubstr("test_samples"));
  EXPECT_THAT(error_with({.mean = {0.5, 0.5}}), HasSubstr("data.mean"));
  EXPECT_THAT(error_with({.std = {0.0}}), HasSubstr("data.std"));
}

TEST_F(OpenDatasetTest, TakesPrefixesAndGivenStatistics) {
  write_fashion(root_.path(), 0);
  const DataSplits splits = open_dataset({.root = root_.path().string(),
                                          .train_samples = 2,
                                          .test_samples = 1,
                                          .mean = {0.5},
                                          .std = {0.25}});
  EXPECT_EQ(splits.train.size(), 2);
  EXPECT_EQ(splits.test.size(), 1);
  EXPECT_THAT(splits.train.info().mean, ElementsAre(0.5));
  EXPECT_THAT(splits.test.info().std, ElementsAre(0.25));
}

TEST_F(OpenDatasetTest, RejectsLabelsThatDoNotFitTheImages) {
  write_fashion(root_.path(), 0);
  write_file(root_.path() / "train-labels-idx1-ubyte", idx(4, 1, 0));
  EXPECT_THAT(error_of<DataError>([&] { open("mnist"); }),
              AllOf(HasSubstr("expected 5 labels"), HasSubstr("found 4")));
  write_file(root_.path() / "train-labels-idx1-ubyte", idx(5, 1, 10));
  EXPECT_THAT(error_of<DataError>([&] { open("mnist"); }),
              AllOf(HasSubstr("below 10"), HasSubstr("found 10")));
}

Bytes cifar_record(std::initializer_list<uint8_t> labels) {
  Bytes record(labels);
  record.resize(record.size() + 3072, 50);
  return record;
}

TEST_F(OpenDatasetTest, ReadsCifar100WithFineLabelsAndNames) {
  const fs::path folder = root_.path() / "cifar-100-binary";
  write_file(folder / "train.bin", cifar_record({3, 99}));
  write_file(folder / "test.bin", cifar_record({3, 42}));
  std::string names;
  for (int i = 0; i < 100; ++i) {
    names += "name" + std::to_string(i) + "\n";
  }
  write_text(folder / "fine_label_names.txt", names);
  const DataSplits splits = open("cifar100");
  EXPECT_EQ(splits.train.label(0), 99);
  EXPECT_EQ(splits.test.label(0), 42);
  EXPECT_EQ(splits.test.info().class_names[42], "name42");
  EXPECT_THAT(splits.test.info().mean, ElementsAre(0.5071, 0.4867, 0.4408));
  write_text(folder / "fine_label_names.txt", "one\ntwo\n");
  EXPECT_THAT(error_of<DataError>([&] { open("cifar100"); }),
              AllOf(HasSubstr("100 class names"), HasSubstr("found 2")));
}

TEST_F(OpenDatasetTest, ReadsTheFiveCifar10Batches) {
  for (uint8_t i = 1; i <= 5; ++i) {
    write_file(root_.path() / ("data_batch_" + std::to_string(i) + ".bin"),
               cifar_record({i}));
  }
  write_file(root_.path() / "test_batch.bin", cifar_record({0}));
  const DataSplits splits = open("cifar10");
  ASSERT_EQ(splits.train.size(), 5);
  EXPECT_EQ(splits.train.label(4), 5);
  EXPECT_EQ(splits.train.info().class_names[5], "dog");
  EXPECT_EQ(splits.train.info().rows, 32);
}

class TinyImagenetTest : public OpenDatasetTest {
 protected:
  TinyImagenetTest() {
    const auto reference =
        nlohmann::json::parse(std::ifstream("tests/data/jpeg_reference.json"));
    const Bytes jpeg = testing::from_hex(reference["files"][0]["file"]);
    const fs::path folder = root_.path() / "tiny-imagenet-200";
    write_text(folder / "wnids.txt", "n02\nn01\n");
    write_text(folder / "words.txt", "n01\tgoldfish, carp\nn03\tnewt\n");
    write_file(folder / "train/n01/images/n01_0.JPEG", jpeg);
    write_file(folder / "train/n02/images/n02_0.JPEG", jpeg);
    write_file(folder / "train/n02/images/n02_1.JPEG", {1, 2, 3});
    write_file(folder / "val/images/val_0.JPEG", jpeg);
    write_annotations("val_0.JPEG\tn02\t0\t0\t62\t62\n");
  }

  void write_annotations(const std::string& text) {
    write_text(root_.path() / "tiny-imagenet-200/val/val_annotations.txt",
               text);
  }
};

TEST_F(TinyImagenetTest, NumbersClassesByIdAndNamesThem) {
  const DataSplits splits = open("tiny_imagenet");
  ASSERT_EQ(splits.train.size(), 3);
  EXPECT_EQ(splits.train.label(0), 0);
  EXPECT_EQ(splits.train.label(2), 1);
  ASSERT_EQ(splits.test.size(), 1);
  EXPECT_EQ(splits.test.label(0), 1);
  EXPECT_THAT(splits.train.info().class_names, ElementsAre("goldfish", "n02"));
  EXPECT_EQ(splits.test.pixels(0).size(), 3u * 64 * 64);
}

TEST_F(TinyImagenetTest, ADamagedImageIsNamedWhenItIsRead) {
  const DataSplits splits = open("tiny_imagenet");
  EXPECT_THAT(error_of<DataError>([&] { splits.train.pixels(2); }),
              HasSubstr("n02_1.JPEG"));
}

TEST_F(TinyImagenetTest, RejectsAnnotationsWithoutAKnownClass) {
  for (const std::string line :
       {"val_0.JPEG\tn09\t0\n", "val_0.JPEG\n", "\n"}) {
    write_annotations(line);
    EXPECT_THAT(error_of<DataError>([&] { open("tiny_imagenet"); }),
                HasSubstr("val_annotations.txt"));
  }
}

// Mean and deviation of all pixels in [0, 1].
std::array<double, 2> pixel_statistics(const Dataset& dataset) {
  double sum = 0;
  double squares = 0;
  Bytes buffer;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    for (const uint8_t pixel : dataset.pixels(i, buffer)) {
      sum += pixel / 255.0;
      squares += (pixel / 255.0) * (pixel / 255.0);
    }
  }
  const double count = double(dataset.size() * dataset.info().pixel_bytes());
  const double mean = sum / count;
  return {mean, std::sqrt(squares / count - mean * mean)};
}

std::vector<int> label_counts(const Dataset& dataset) {
  std::vector<int> counts(size_t(dataset.info().num_classes()));
  for (int64_t i = 0; i < dataset.size(); ++i) {
    ++counts[size_t(dataset.label(i))];
  }
  return counts;
}

// The real data set, from DBLOCKS_TEST_FASHION_MNIST or the usual places.
class FashionMnistTest : public ::testing::TestWithParam<const char*> {};

TEST_P(FashionMnistTest, HasThePublishedCountsAndStatistics) {
  const char* given = std::getenv("DBLOCKS_TEST_FASHION_MNIST");
  const fs::path folder = given != nullptr ? given : GetParam();
  if (!fs::exists(folder)) {
    GTEST_SKIP() << "no " << folder;
  }
  const DataSplits splits = open_dataset({.root = folder.string()});
  EXPECT_EQ(label_counts(splits.train), std::vector<int>(10, 6000));
  EXPECT_EQ(label_counts(splits.test), std::vector<int>(10, 1000));
  const auto [mean, deviation] = pixel_statistics(splits.train);
  EXPECT_NEAR(mean, 0.2860, 5e-5);
  EXPECT_NEAR(deviation, 0.3530, 5e-5);
  EXPECT_THAT(splits.train.info().mean, ElementsAre(0.2860));
  EXPECT_THAT(splits.train.info().std, ElementsAre(0.3530));
}

INSTANTIATE_TEST_SUITE_P(Places,
                         FashionMnistTest,
                         ::testing::Values("/usr/share/datasets/fashion-mnist",
                                           "../shared/data/fashion-mnist"),
                         [](const auto& place) {
                           return place.index == 0 ? "Installed" : "Shared";
                         });

}  // namespace
}  // namespace dblocks::data
