// SPDX-License-Identifier: Apache-2.0
// NumPy's archives, whole, damaged and meant to do harm.
#include "dblocks/data/npz.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <string>
#include <variant>
#include <vector>

#include "dblocks/checkpoint/safetensors.h"
#include "dblocks/core/error.h"
#include "dblocks/core/file_system.h"
#include "dblocks/data/dataset.h"
#include "dblocks/data/image_archive.h"
#include "dblocks/data/npy_header.h"
#include "tests/data/support.h"

namespace dblocks::data {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

std::span<const std::byte> bytes_of(const auto& values) {
  return std::as_bytes(std::span(values));
}

NpyHeader header_of(const std::string& dictionary, uint8_t version = 1) {
  std::string text("\x93NUMPY", 6);
  text += static_cast<char>(version);
  text += '\0';
  text += static_cast<char>(dictionary.size() & 0xff);
  text += static_cast<char>(dictionary.size() >> 8);
  if (version > 1) {
    text += std::string(2, '\0');
  }
  return parse_npy_header(bytes_of(text + dictionary + "numbers"), "some.npz");
}

TEST(NpyHeaderTest, ReadsWhatNumPyWrites) {
  const NpyHeader header = header_of(
      "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 28, 28, 3), }  "
      "\n");
  EXPECT_EQ(header.dtype, "|u1");
  EXPECT_THAT(header.shape, ElementsAre(2, 28, 28, 3));
  EXPECT_EQ(header.num_elements, 2u * 28 * 28 * 3);
  EXPECT_EQ(header_of("{'descr': '<i8', 'fortran_order': False, 'shape': (7,), "
                      "}\n",
                      2)
                .num_elements,
            7u);
  EXPECT_EQ(header_of("{\"shape\": (), \"descr\": \"<f4\", "
                      "\"fortran_order\": False}",
                      3)
                .num_elements,
            1u);
}

TEST(NpyHeaderTest, RefusesWhatIsNoPlainArray) {
  const std::string good =
      "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)}";
  EXPECT_NO_THROW(header_of(good));
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  for (const auto& [text, found] :
       {std::pair(changed("'|u1'", "'|O'"), "type '|O'"),
        std::pair(changed("'|u1'", "[('a', '|u1')]"), "no string"),
        std::pair(changed("'|u1'", "'>i8'"), "type '>i8'"),
        std::pair(changed("False", "True"), "Fortran"),
        std::pair(changed("False", "exec('x')"), "Fortran"),
        std::pair(changed("(2, 3)", "(2, -3)"), "whole number"),
        std::pair(changed("(2, 3)", "(2, 3.5)"), "where one has to be"),
        std::pair(changed("(2, 3)", "(9223372036854775807, 9)"), "too many"),
        std::pair(changed("(2, 3)", "(99999999999999999999,)"), "whole number"),
        std::pair(changed("(2, 3)", "(2, 3), 'shape': (1,)"), "twice"),
        std::pair(changed("'descr'", "'kind'"), "another key"),
        std::pair(changed(", 'shape': (2, 3)", ""), "no descr"),
        std::pair(good + " or True", "behind the dictionary"),
        std::pair(good.substr(0, 20), "where one has to be"),
        std::pair(std::string(), "no '{'")}) {
    EXPECT_THAT(error_of<DataError>([&text = text] { header_of(text); }),
                HasSubstr(found))
        << text;
  }
  EXPECT_THAT(error_of<DataError>([&] { header_of(good, 9); }),
              HasSubstr("version 9"));
}

class NpzTest : public ::testing::Test {
 protected:
  NpzTest() {
    write("train", 6, {0, 1, 2, 0, 1, 2});
    write("test", 2, {2, 0});
  }

  /// Images of 2 x 3 pixels whose values count up.
  void write(const std::string& split,
             int64_t count,
             const std::vector<int64_t>& labels,
             int64_t channels = 3) {
    std::vector<uint8_t> pixels(static_cast<size_t>(count * 6 * channels));
    for (size_t i = 0; i < pixels.size(); ++i) {
      pixels[i] = static_cast<uint8_t>(i);
    }
    write_npz(file(split),
              {{"arr_0", "|u1", {count, 2, 3, channels}, bytes_of(pixels)},
               {"arr_1",
                "<i8",
                {static_cast<int64_t>(labels.size())},
                bytes_of(labels)},
               {"more", "<i8", {1}, bytes_of(std::vector<int64_t>{1})}});
  }

  fs::path file(const std::string& split) const {
    return root_.path() / (split + ".npz");
  }

  DataSplits open() const {
    return open_dataset({.dataset = "npz", .root = root_.path().string()});
  }
  std::string refusal() const {
    return error_of<DataError>([&] { open(); });
  }

  TemporaryFolder root_;
};

TEST_F(NpzTest, ImagesAndClassesAreThoseOfTheArrays) {
  const DataSplits splits = open();
  EXPECT_EQ(splits.train.size(), 6);
  EXPECT_EQ(splits.test.size(), 2);
  const DatasetInfo& info = splits.train.info();
  EXPECT_EQ(info.channels, 3);
  EXPECT_EQ(info.rows, 2);
  EXPECT_EQ(info.columns, 3);
  EXPECT_THAT(info.class_names, ElementsAre("0", "1", "2"));
  EXPECT_EQ(splits.test.label(0), 2);
  // Red, then green, then blue of the second image.
  EXPECT_THAT(splits.train.pixels(1),
              ElementsAre(18, 21, 24, 27, 30, 33, 19, 22, 25, 28, 31, 34, 20,
                          23, 26, 29, 32, 35));
}

TEST_F(NpzTest, WhatDoesNotFitIsNamed) {
  write("test", 2, {2, 3});
  EXPECT_THAT(refusal(), HasSubstr("classes of 0 to 2, found 3 for sample 1"));
  write("test", 2, {2, 0, 1});
  EXPECT_THAT(refusal(), HasSubstr("one for each image, found <i8 [3]"));
  write("test", 2, {2, 0}, 1);
  EXPECT_THAT(refusal(), HasSubstr("[2, 3, 3]"));
  write_npz(file("test"), {{"arr_1", "<i8", {0}, {}}});
  EXPECT_THAT(refusal(), HasSubstr("expected an array arr_0, found none"));
  fs::remove(file("test"));
  EXPECT_THAT(refusal(), HasSubstr("found none: " + file("test").string()));
}

TEST_F(NpzTest, AnArrayOfAnotherLengthThanItsShapeIsRefused) {
  const std::vector<uint8_t> few(5), many(300'000);
  write_npz(file("test"), {{"arr_0", "|u1", {1, 2, 3, 1}, bytes_of(few)}});
  EXPECT_THAT(refusal(), HasSubstr("expected 6 bytes for the shape [1, 2, 3, "
                                   "1], found 5"));
  write_npz(file("test"), {{"arr_0", "|u1", {1, 2, 3, 1}, bytes_of(many)}});
  EXPECT_THAT(refusal(), HasSubstr("found more"));
  // A header that claims a lot makes no memory.
  write_npz(file("test"),
            {{"arr_0", "|u1", {1'000'000'000, 500, 500, 3}, bytes_of(few)}});
  EXPECT_THAT(refusal(), HasSubstr("found 5"));
  write_npz(file("test"), {{"arr_0", "|u1", {1, 2, 3, 1}, bytes_of(few)},
                           {"arr_0", "|u1", {1, 2, 3, 1}, bytes_of(few)}});
  EXPECT_NE(refusal(), "");
}

TEST_F(NpzTest, AnArchiveThatUnpacksToTooMuchIsRefused) {
  const auto unpack = [&](uint64_t most) {
    read_npz(file("train"), {"arr_0", "arr_1"}, {},
             {.always_bytes = most, .max_ratio = 0});
  };
  // 6 images of 18 bytes and 6 classes of 8, with a header of 128 bytes each.
  EXPECT_NO_THROW(unpack(412));
  EXPECT_THAT(error_of<DataError>([&] { unpack(411); }),
              AllOf(HasSubstr("expected at most 411 bytes"),
                    HasSubstr(file("train").string())));
  // It is the size of the file that allows more.
  EXPECT_NO_THROW(read_npz(file("train"), {"arr_0", "arr_1"}, {},
                           {.always_bytes = 0, .max_ratio = 1}));
}

TEST_F(NpzTest, ArraysThatNeedNotBeThereMayBeMissing) {
  const auto found = read_npz(file("train"), {"arr_1"}, {"more", "mu"});
  EXPECT_EQ(found.size(), 2u);
  EXPECT_TRUE(found.contains("more"));
}

class ReferenceTest : public NpzTest {
 protected:
  template <class Number = double>
  void write_statistics(const std::vector<Number>& mean,
                        const std::vector<Number>& covariance,
                        int64_t rows = 2) {
    const std::string dtype = sizeof(Number) == 8 ? "<f8" : "<f4";
    const auto n = static_cast<int64_t>(mean.size());
    write_npz(file("statistics"),
              {{"mu", dtype, {n}, bytes_of(mean)},
               {"sigma", dtype, {rows, n}, bytes_of(covariance)}});
  }
  FeatureStatistics statistics() const {
    return std::get<FeatureStatistics>(read_reference(file("statistics")));
  }
  std::string refused() const {
    return error_of<DataError>([&] { statistics(); });
  }
};

TEST_F(ReferenceTest, IsImagesWhereThereAreAny) {
  const auto images = std::get<ImageArchive>(read_reference(file("train")));
  EXPECT_THAT(images.shape, ElementsAre(6, 2, 3, 3));
  EXPECT_EQ(images.pixels.at(20), 20);
  EXPECT_THAT(images.classes.value(), ElementsAre(0, 1, 2, 0, 1, 2));
  const std::vector<uint8_t> pixels(12);
  write_npz(file("bare"), {{"arr_0", "|u1", {2, 2, 3, 1}, bytes_of(pixels)}});
  EXPECT_FALSE(read_image_archive(file("bare")).classes);
}

TEST_F(ReferenceTest, TensorsAreTheSameImages) {
  // Two images of 1 x 2 pixels in three channels, one channel after the other.
  const std::vector<uint8_t> pixels = {1,  2,  3,  4,  5,  6,
                                       11, 12, 13, 14, 15, 16};
  const std::vector<int64_t> labels = {1, 0};
  const fs::path path = root_.path() / "images.safetensors";
  std::vector<TensorBytes> tensors = {
      {"images", DType::kU8, {2, 3, 1, 2}, bytes_of(pixels)},
      {"labels", DType::kI64, {2}, bytes_of(labels)}};
  checkpoint::write_safetensors(real_file_system(), path, tensors);
  const ImageArchive images = read_image_archive(path);
  EXPECT_THAT(images.shape, ElementsAre(2, 1, 2, 3));
  EXPECT_THAT(images.pixels,
              ElementsAre(1, 3, 5, 2, 4, 6, 11, 13, 15, 12, 14, 16));
  EXPECT_THAT(images.classes.value(), ElementsAre(1, 0));
  EXPECT_EQ(std::get<ImageArchive>(read_reference(path)).pixels, images.pixels);
  tensors[1].shape = {1};
  tensors[1].bytes = tensors[1].bytes.first(8);
  checkpoint::write_safetensors(real_file_system(), path, tensors);
  EXPECT_THAT(error_of<DataError>([&] { read_image_archive(path); }),
              HasSubstr("expected I64 [2], one label for each image"));
  tensors[0] = {"images", DType::kU8, {2, 6, 1, 1}, bytes_of(pixels)};
  checkpoint::write_safetensors(real_file_system(), path, tensors);
  EXPECT_THAT(
      error_of<DataError>([&] { read_image_archive(path); }),
      HasSubstr("expected U8 [N, 1 or 3, Y, X], found U8 [2, 6, 1, 1]"));
  std::ofstream(path) << "no tensors";
  EXPECT_THAT(error_of<DataError>([&] { read_image_archive(path); }),
              HasSubstr(path.string()));
}

TEST_F(ReferenceTest, IsStatisticsOfEitherWidth) {
  write_statistics({1, -2}, {4, 0.5, 0.5, 9});
  EXPECT_THAT(statistics().mean, ElementsAre(1, -2));
  EXPECT_THAT(statistics().covariance, ElementsAre(4, 0.5, 0.5, 9));
  write_statistics<float>({1, -2}, {4, 0.5F, 0.5F, 9});
  EXPECT_THAT(statistics().covariance, ElementsAre(4, 0.5, 0.5, 9));
}

TEST_F(ReferenceTest, StatisticsOfNothingAreRefused) {
  write_statistics({1, NAN}, {4, 0.5, 0.5, 9});
  EXPECT_THAT(refused(), AllOf(HasSubstr("finite"), HasSubstr("array mu")));
  write_statistics({1, 2}, {4, 0.5, 0.6, 9});
  EXPECT_THAT(refused(), HasSubstr("expected a symmetric covariance, found "
                                   "0.6 and 0.5 for features 1 and 0"));
  write_statistics({1, 2}, {4, 0.5, 0.5, -9});
  EXPECT_THAT(refused(), HasSubstr("found -9 for feature 1"));
  write_statistics({1, 2}, {4, 0.5}, 1);
  EXPECT_THAT(refused(), HasSubstr("expected <f8 or <f4 [2, 2], found <f8 "
                                   "[1, 2]"));
  write_statistics({}, {}, 0);
  EXPECT_THAT(refused(), HasSubstr("expected a mean [F]"));
  write_npz(file("statistics"), {{"mu", "<i8", {0}, {}}});
  EXPECT_THAT(refused(), HasSubstr("expected images arr_0, or statistics mu "
                                   "and sigma, found neither"));
}

TEST_F(NpzTest, ATruncatedFileIsRefusedUnlessBothArraysAreWhole) {
  std::ifstream in(file("test"), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  const Dataset expected = open().test;
  int64_t num_refused = 0;
  for (size_t length = 0; length < whole.size(); ++length) {
    std::ofstream(file("test"), std::ios::binary) << whole.substr(0, length);
    try {
      const Dataset found = open().test;
      ASSERT_EQ(found.size(), 2) << length;
      for (int64_t i = 0; i < 2; ++i) {
        EXPECT_EQ(found.label(i), expected.label(i)) << length;
        EXPECT_EQ(found.pixels(i), expected.pixels(i)) << length;
      }
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr(file("test").string()));
      ++num_refused;
    }
  }
  // The third array and the directory lie behind those that are read.
  EXPECT_GT(num_refused, static_cast<int64_t>(whole.size() / 3));
}

}  // namespace
}  // namespace dblocks::data
