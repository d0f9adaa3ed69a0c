// SPDX-License-Identifier: Apache-2.0
// PNG and JPEG files of every kind: what is seen of them, what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "dblocks/core/error.h"
#include "dblocks/data/exif.h"
#include "dblocks/data/image_file.h"
#include "tests/data/support.h"

namespace dblocks::data {
namespace {

using testing::Bytes;
using testing::error_of;
using testing::from_hex;
using ::testing::HasSubstr;

View whole(int64_t rows, int64_t columns) {
  return {{.rows = rows, .columns = columns}, rows, columns};
}

const nlohmann::json& reference() {
  static const auto content =
      nlohmann::json::parse(std::ifstream("tests/data/image_reference.json"));
  return content;
}

void expect_near(const Image& image,
                 const nlohmann::json& rgb,
                 int tolerance,
                 const std::string& name) {
  for (int64_t c = 0; c < 3; ++c) {
    const std::vector<int> expected = rgb[static_cast<size_t>(c)];
    ASSERT_EQ(static_cast<int64_t>(expected.size()), image.plane_size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(image.plane(c)[i], expected[i], tolerance)
          << name << ", channel " << c << ", pixel " << i;
    }
  }
}

TEST(ImageFileTest, ShowsEveryKindAsItIsMeant) {
  for (const auto& file : reference()["files"]) {
    const std::string name = file["name"];
    Image image;
    decode_image(from_hex(file["file"]), name, 3, &whole, image);
    EXPECT_EQ(image.rows, file["rows"].get<int64_t>()) << name;
    EXPECT_EQ(image.columns, file["columns"].get<int64_t>()) << name;
    expect_near(image, file["rgb"], file["tolerance"], name);
  }
}

TEST(ImageFileTest, TurnsColourIntoLuma) {
  for (const auto& file : reference()["files"]) {
    Image grey;
    decode_image(from_hex(file["file"]), "image", 1, &whole, grey);
    ASSERT_EQ(grey.channels, 1);
    const std::vector<int> r = file["rgb"][0], g = file["rgb"][1],
                           b = file["rgb"][2];
    for (size_t i = 0; i < r.size(); ++i) {
      ASSERT_NEAR(grey.pixels[i], 0.299 * r[i] + 0.587 * g[i] + 0.114 * b[i],
                  file["tolerance"].get<int>() + 1)
          << file["name"] << " " << i;
    }
  }
}

TEST(ImageFileTest, AReducedJpegIsCloseToTheWholeOneScaled) {
  Image image;
  decode_image(
      from_hex(reference()["large"]["file"]), "large", 3,
      [](int64_t rows, int64_t columns) {
        EXPECT_EQ(rows, 320);
        return View{{.rows = rows, .columns = columns}, 32, 40};
      },
      image);
  double difference = 0;
  for (int64_t c = 0; c < 3; ++c) {
    const std::vector<int> expected =
        reference()["large"]["rgb_40x32"][static_cast<size_t>(c)];
    for (size_t i = 0; i < expected.size(); ++i) {
      difference += std::abs(image.plane(c)[i] - expected[i]);
    }
  }
  EXPECT_LT(difference / (3 * 32 * 40), 2);
}

TEST(ImageFileTest, TakesThePartThatIsSeen) {
  // The left upper quarter, as seen, of an image stored in all eight ways.
  for (const auto& file : reference()["files"]) {
    const std::string name = file["name"];
    if (!name.starts_with("jpeg_turned")) {
      continue;
    }
    Image all, part;
    decode_image(from_hex(file["file"]), name, 3, &whole, all);
    decode_image(
        from_hex(file["file"]), name, 3,
        [](int64_t, int64_t) {
          return View{{.top = 1, .left = 2, .rows = 6, .columns = 5}, 6, 5};
        },
        part);
    for (int64_t c = 0; c < 3; ++c) {
      for (int64_t y = 0; y < 6; ++y) {
        for (int64_t x = 0; x < 5; ++x) {
          ASSERT_EQ(part.plane(c)[y * 5 + x],
                    all.plane(c)[(y + 1) * all.columns + x + 2])
              << name;
        }
      }
    }
  }
}

TEST(ImageFileTest, RefusesWhatIsNoImageAndNamesIt) {
  Image image;
  const auto error_for = [&](const Bytes& file) {
    return error_of<DataError>(
        [&] { decode_image(file, "some/name.jpg", 3, &whole, image); });
  };
  EXPECT_THAT(error_for({}), HasSubstr("empty"));
  EXPECT_THAT(error_for({'G', 'I', 'F', '8', '9'}), HasSubstr("some/name.jpg"));
  EXPECT_THAT(error_for(from_hex(reference()["cmyk"])),
              ::testing::AllOf(HasSubstr("4 channels"), HasSubstr("RGB")));
  EXPECT_THAT(
      error_of<DataError>([&] { read_image("tests/data", 3, &whole, image); }),
      HasSubstr("tests/data"));
  EXPECT_THAT(
      error_of<DataError>([&] { read_image("no/such.png", 3, &whole, image); }),
      HasSubstr("no/such.png"));
}

TEST(CentredViewTest, KeepsTheShapeAndTheCentre) {
  const View wide = centred_view(100, 300, 32, 32);
  EXPECT_EQ(wide.box.rows, 100);
  EXPECT_EQ(wide.box.columns, 100);
  EXPECT_EQ(wide.box.left, 100);
  const View high = centred_view(301, 100, 20, 40);
  EXPECT_EQ(high.box.rows, 50);
  EXPECT_EQ(high.box.columns, 100);
  EXPECT_EQ(high.box.top, 125);
  EXPECT_EQ(centred_view(1, 60'000, 32, 32).box.columns, 1);
}

// Every block of up to three entries, of both byte orders, with any byte wrong.
TEST(ExifTest, NeverLooksOutsideAndNeverMakesUpAnOrientation) {
  const Bytes little = {'I',  'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12,
                        0x01, 3,   0,  1, 0, 0, 0, 6, 0, 0, 0};
  const Bytes big = {'M',  'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01,
                     0x12, 0,   3, 0,  0, 0, 1, 0, 6, 0, 0};
  for (const Bytes& block : {little, big}) {
    EXPECT_EQ(exif_orientation(block), 6);
    for (size_t size = 0; size < block.size(); ++size) {
      const Bytes cut(block.begin(), block.begin() + ptrdiff_t(size));
      const int found = exif_orientation(cut);
      EXPECT_TRUE(found == 1 || found == 6);
    }
    for (size_t i = 0; i < block.size(); ++i) {
      for (int value = 0; value < 256; ++value) {
        Bytes wrong = block;
        wrong[i] = static_cast<uint8_t>(value);
        const int found = exif_orientation(wrong);
        ASSERT_TRUE(found >= 1 && found <= 8);
      }
    }
  }
}

}  // namespace
}  // namespace dblocks::data
