// SPDX-License-Identifier: Apache-2.0
// Compares with augment_reference.json, made by torchvision and Pillow through
// tools/make_augment_reference.py, bit for bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "dblocks/core/error.h"
#include "dblocks/data/rand_augment.h"
#include "dblocks/data/transforms.h"
#include "tests/data/support.h"

namespace dblocks::data {
namespace {

using testing::from_hex;

const nlohmann::json& reference() {
  static const nlohmann::json content =
      nlohmann::json::parse(std::ifstream("tests/data/augment_reference.json"));
  return content;
}

Image reference_image(const std::string& name) {
  const auto& entry = reference()["images"][name];
  return {.channels = entry["channels"],
          .rows = entry["rows"],
          .columns = entry["columns"],
          .pixels = from_hex(entry["pixels"])};
}

AugmentOp op_of(const std::string& name) {
  for (int64_t i = 0; i < kNumAugmentOps; ++i) {
    if (augment_op_name(static_cast<AugmentOp>(i)) == name) {
      return static_cast<AugmentOp>(i);
    }
  }
  ADD_FAILURE() << name;
  return AugmentOp::kIdentity;
}

// Pixels as a key of maps.
std::string key_of(const Image& image) {
  return {image.pixels.begin(), image.pixels.end()};
}

Image small_image() {
  return {.channels = 1, .rows = 2, .columns = 3, .pixels = {1, 2, 3, 4, 5, 6}};
}

TEST(RandAugmentTest, MagnitudesOfEveryBinAreTorchvisions) {
  for (const auto& [name, ops] : reference()["magnitudes"].items()) {
    const Image image = reference_image(name);
    ASSERT_EQ(ops.size(), 14u);
    for (const auto& [op, values] : ops.items()) {
      for (int64_t bin = 0; bin < kNumMagnitudeBins; ++bin) {
        EXPECT_EQ(augment_magnitude(op_of(op), bin, image.rows, image.columns),
                  values[size_t(bin)].get<double>())
            << op << " at bin " << bin;
      }
    }
  }
}

TEST(RandAugmentTest, EveryOperationGivesTorchvisionsPixels) {
  std::map<std::string, int> compared;
  Image scratch;
  for (const auto& entry : reference()["operations"]) {
    Image image = reference_image(entry["image"]);
    const std::string op = entry["op"];
    apply_augment_op(image, op_of(op), entry["magnitude"], scratch);
    EXPECT_EQ(image.pixels, from_hex(entry["expected"]))
        << op << " " << entry["magnitude"] << " on " << entry["image"];
    ++compared[op];
  }
  EXPECT_EQ(compared.size(), 14u);
}

// What each operation and sign makes of `image` at bin 9; all different.
std::map<std::string, std::string> outcomes(const Image& image) {
  std::map<std::string, std::string> names;
  Image scratch;
  for (int64_t i = 0; i < kNumAugmentOps; ++i) {
    const auto op = static_cast<AugmentOp>(i);
    const double size = augment_magnitude(op, 9, image.rows, image.columns);
    for (const double sign : {1.0, -1.0}) {
      if (sign > 0 || augment_op_is_signed(op)) {
        Image changed = image;
        apply_augment_op(changed, op, sign * size, scratch);
        names[key_of(changed)] =
            std::string(augment_op_name(op)) + (sign > 0 ? "" : "-");
      }
    }
  }
  return names;
}

TEST(RandAugmentTest, OperationsAndSignsAreDrawnEquallyOften) {
  const Image image = reference_image("rgb");
  const auto names = outcomes(image);
  ASSERT_EQ(names.size(), 14u + 9u) << "two outcomes look alike";
  std::map<std::string, int> counts;
  Image scratch;
  for (uint64_t i = 0; i < 14000; ++i) {
    Image changed = image;
    RandomStream stream(3, RandomPurpose::kAugmentation, 0, i);
    rand_augment(changed, 1, 9, stream, scratch);
    ++counts[names.at(key_of(changed))];
  }
  // Standard deviations are 30 and 22; the bounds are five of them.
  for (const auto& [pixels, name] : names) {
    const std::string op = name.substr(0, name.find('-'));
    const bool is_signed = augment_op_is_signed(op_of(op));
    EXPECT_NEAR(counts[name], is_signed ? 500 : 1000, is_signed ? 110 : 150)
        << name;
  }
}

TEST(TransformTest, ResizedCropGivesPillowsPixels) {
  for (const auto& entry : reference()["resized_crops"]) {
    const Image image = reference_image(entry["image"]);
    const std::array<int64_t, 4> b = entry["box"];
    Image out;
    resized_crop(image, {b[0], b[1], b[2], b[3]}, entry["rows"],
                 entry["columns"], out);
    // When rows shrink Pillow may scale them before the columns, which
    // rounds otherwise; augmentation never shrinks.
    const int tolerance = entry["rows"] < b[2] ? 1 : 0;
    const std::vector<uint8_t> expected = from_hex(entry["expected"]);
    ASSERT_EQ(out.pixels.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(out.pixels[i], expected[i], tolerance)
          << entry["box"] << " at " << i;
    }
  }
}

TEST(TransformTest, ShiftMovesContentAndFillsWithBlack) {
  Image out;
  shift(small_image(), 1, 0, out);
  EXPECT_THAT(out.pixels, ::testing::ElementsAre(4, 5, 6, 0, 0, 0));
  shift(small_image(), 0, -2, out);
  EXPECT_THAT(out.pixels, ::testing::ElementsAre(0, 0, 1, 0, 0, 4));
  shift(small_image(), -1, 1, out);
  EXPECT_THAT(out.pixels, ::testing::ElementsAre(0, 0, 0, 2, 3, 0));
  shift(small_image(), 5, 5, out);
  EXPECT_THAT(out.pixels, ::testing::Each(0));
}

TEST(TransformTest, FlipMirrorsEachRowOfEachChannel) {
  Image image{
      .channels = 2, .rows = 1, .columns = 3, .pixels = {1, 2, 3, 4, 5, 6}};
  flip_horizontally(image);
  EXPECT_THAT(image.pixels, ::testing::ElementsAre(3, 2, 1, 6, 5, 4));
}

TEST(TransformTest, RandomResizedBoxesFollowTheirAreaAndRatio) {
  RandomStream stream(1, RandomPurpose::kAugmentation, 0, 0);
  double area_sum = 0;
  constexpr int kBoxes = 4000;
  for (int i = 0; i < kBoxes; ++i) {
    const Box box = random_resized_box(64, 64, stream);
    const double area = double(box.rows * box.columns) / (64 * 64);
    const double ratio = double(box.columns) / double(box.rows);
    EXPECT_GE(area, 0.07);
    EXPECT_GE(ratio, 0.70);
    EXPECT_LE(ratio, 1.43);
    EXPECT_GE(std::min(box.top, box.left), 0);
    EXPECT_LE(box.top + box.rows, 64);
    EXPECT_LE(box.left + box.columns, 64);
    area_sum += area;
  }
  // Drawing boxes that stick out again lowers the mean of .54; torchvision's
  // own draw averages .486.
  EXPECT_NEAR(area_sum / kBoxes, 0.486, 0.02);
}

TEST(AugmenterTest, CropsReachEveryOffsetEquallyOften) {
  Augmenter augmenter({.crop_padding = 1});
  std::map<std::string, int> counts;
  for (uint64_t i = 0; i < 9000; ++i) {
    Image image = small_image();
    RandomStream stream(1, RandomPurpose::kAugmentation, 0, i);
    augmenter.apply(image, stream);
    ++counts[key_of(image)];
  }
  EXPECT_EQ(counts.size(), 9u);
  for (const auto& [pixels, count] : counts) {
    EXPECT_NEAR(count, 1000, 150);
  }
}

TEST(AugmenterTest, FlipsOneImageInTwo) {
  Augmenter augmenter({.flip = true});
  int flipped = 0;
  for (uint64_t i = 0; i < 4000; ++i) {
    Image image = small_image();
    RandomStream stream(1, RandomPurpose::kAugmentation, 0, i);
    augmenter.apply(image, stream);
    flipped += image.pixels[0] == 3;
  }
  EXPECT_NEAR(flipped, 2000, 130);
}

TEST(AugmenterTest, RejectsAMagnitudeBeyondTheBins) {
  const std::string message = testing::error_of<ConfigError>(
      [] { Augmenter({.rand_augment_magnitude = 31}); });
  EXPECT_THAT(message,
              ::testing::HasSubstr("data.augment.rand_augment_magnitude"));
  EXPECT_THAT(message, ::testing::HasSubstr("31"));
}

TEST(NormalizerTest, MapsLevelsToStandardUnitsPerChannel) {
  const Normalizer normalizer(std::array{0.5, 0.25}, std::array{0.5, 0.1});
  std::vector<float> out(4);
  normalizer.apply(std::array<uint8_t, 4>{0, 255, 51, 102}, out);
  EXPECT_THAT(out, ::testing::Pointwise(::testing::FloatEq(),
                                        {-1.0f, 1.0f, -0.5f, 1.5f}));
}

}  // namespace
}  // namespace dblocks::data
