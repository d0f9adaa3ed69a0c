// SPDX-License-Identifier: Apache-2.0
// Readers of single files: valid ones, and everything a hostile one may claim.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "dblocks/core/error.h"
#include "dblocks/data/cifar.h"
#include "dblocks/data/file_bytes.h"
#include "dblocks/data/idx.h"
#include "dblocks/data/jpeg.h"
#include "tests/data/support.h"

namespace dblocks::data {
namespace {

using ::testing::AllOf;
using testing::Bytes;
using testing::error_of;
using testing::gzip;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::write_file;

// Two images of 2 x 3 levels.
Bytes valid_idx() {
  return {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2,  0,  0,
          0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
}

Bytes changed(Bytes bytes, const std::function<void(Bytes&)>& change) {
  change(bytes);
  return bytes;
}

class IdxTest : public ::testing::Test {
 protected:
  std::string error_for(const Bytes& bytes) {
    write_file(path_, bytes);
    std::string message = error_of<DataError>([&] { read_idx(path_, {2, 3}); });
    EXPECT_THAT(message, HasSubstr(path_.string()));
    return message;
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "images";
};

TEST_F(IdxTest, ReadsPlainAndGzipFilesAlike) {
  const Bytes elements{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  write_file(path_, valid_idx());
  EXPECT_EQ(read_idx(path_, {2, 3}), elements);
  write_file(path_, gzip(valid_idx()));
  EXPECT_EQ(read_idx(path_, {2, 3}), elements);
}

TEST_F(IdxTest, NamesTheWrongHeaderEntry) {
  EXPECT_THAT(error_for(changed(valid_idx(), [](Bytes& b) { b[3] = 1; })),
              AllOf(HasSubstr("2051"), HasSubstr("2049")));
  EXPECT_THAT(error_for(changed(valid_idx(), [](Bytes& b) { b[2] = 13; })),
              HasSubstr("3331"));
  EXPECT_THAT(error_for(changed(valid_idx(), [](Bytes& b) { b[15] = 4; })),
              AllOf(HasSubstr("2 x 3"), HasSubstr("found 4")));
  EXPECT_THAT(error_for(changed(valid_idx(), [](Bytes& b) { b[7] = 0; })),
              HasSubstr("found 0"));
}

TEST_F(IdxTest, RejectsCountsThatTheFileDoesNotHold) {
  EXPECT_THAT(error_for(changed(valid_idx(), [](Bytes& b) { b[7] = 3; })),
              AllOf(HasSubstr("18"), HasSubstr("12")));
  EXPECT_THAT(error_for(changed(valid_idx(), [](Bytes& b) { b[7] = 1; })),
              AllOf(HasSubstr("6"), HasSubstr("more")));
  EXPECT_THAT(error_for(changed(valid_idx(), [](Bytes& b) { b[4] = 255; })),
              AllOf(HasSubstr("1000000"), HasSubstr("4278190082")));
}

TEST_F(IdxTest, RejectsEveryTruncation) {
  const Bytes plain = valid_idx();
  const Bytes zipped = gzip(plain);
  for (size_t size = 0; size < plain.size(); ++size) {
    error_for(Bytes(plain.begin(), plain.begin() + ptrdiff_t(size)));
  }
  for (size_t size = 0; size < zipped.size(); ++size) {
    error_for(Bytes(zipped.begin(), zipped.begin() + ptrdiff_t(size)));
  }
}

TEST_F(IdxTest, RejectsTrailingBytes) {
  EXPECT_THAT(error_for(changed(valid_idx(), [](Bytes& b) { b.push_back(0); })),
              HasSubstr("found more"));
  EXPECT_THAT(
      error_for(changed(gzip(valid_idx()), [](Bytes& b) { b.push_back(0); })),
      HasSubstr("after the gzip data"));
}

TEST_F(IdxTest, RejectsDamageInsideGzip) {
  const Bytes zipped = gzip(valid_idx());
  for (size_t i = 10; i < zipped.size(); ++i) {
    error_for(changed(zipped, [&](Bytes& b) { b[i] ^= 0x55; }));
  }
}

TEST_F(IdxTest, StopsAGzipBombAtTheSizeItsHeaderAllows) {
  Bytes bomb = valid_idx();
  bomb.resize(size_t{16} << 20);
  EXPECT_THAT(error_for(gzip(bomb)), HasSubstr("found more"));
}

TEST_F(IdxTest, NamesAMissingFile) {
  const std::string message =
      error_of<DataError>([&] { read_idx(path_ / "none", {}); });
  EXPECT_THAT(message, HasSubstr((path_ / "none").string()));
}

// A record with `label_bytes` labels of value `label`; pixel k is k % 251.
Bytes cifar_record(size_t label_bytes, uint8_t label) {
  Bytes record(label_bytes, label);
  for (int k = 0; k < 3072; ++k) {
    record.push_back(static_cast<uint8_t>(k % 251));
  }
  return record;
}

Bytes joined(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(CifarTest, TakesTheLastLabelAndThePixelsOfEachRecord) {
  TemporaryFolder folder;
  const auto path = folder.path() / "train.bin";
  Bytes second = cifar_record(2, 19);
  second[1] = 99;
  write_file(path, joined(cifar_record(2, 5), second));
  const Samples samples = read_cifar(std::vector{path, path}, 2, 100);
  EXPECT_THAT(samples.labels, ::testing::ElementsAre(5, 99, 5, 99));
  ASSERT_EQ(samples.pixels.size(), 4u * 3072);
  EXPECT_EQ(samples.pixels[3072 + 250], 250);
  EXPECT_EQ(samples.pixels[3072 + 251], 0);
}

TEST(CifarTest, RejectsPartialRecordsAndUnknownLabels) {
  TemporaryFolder folder;
  const auto path = folder.path() / "test_batch.bin";
  const auto error_for = [&](const Bytes& bytes) {
    write_file(path, bytes);
    std::string message =
        error_of<DataError>([&] { read_cifar(std::vector{path}, 1, 10); });
    EXPECT_THAT(message, HasSubstr(path.string()));
    return message;
  };
  Bytes cut = cifar_record(1, 3);
  cut.pop_back();
  EXPECT_THAT(error_for(cut), AllOf(HasSubstr("3073"), HasSubstr("3072")));
  EXPECT_THAT(error_for({}), HasSubstr("0 bytes"));
  EXPECT_THAT(error_for(joined(cifar_record(1, 9), cifar_record(1, 10))),
              AllOf(HasSubstr("found 10"), HasSubstr("record 1")));
}

class JpegTest : public ::testing::Test {
 protected:
  JpegTest() {
    const auto content =
        nlohmann::json::parse(std::ifstream("tests/data/jpeg_reference.json"));
    for (const auto& file : content["files"]) {
      files_[file["name"]] = file;
    }
  }

  Bytes bytes_of(const std::string& name) {
    return testing::from_hex(files_.at(name)["file"]);
  }

  std::string error_for(const Bytes& bytes) {
    write_file(path_, bytes);
    Bytes planes;
    std::string message =
        error_of<DataError>([&] { read_jpeg(path_, 64, 64, planes); });
    EXPECT_THAT(message, HasSubstr(path_.string()));
    return message;
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "image.JPEG";
  std::map<std::string, nlohmann::json> files_;
};

TEST_F(JpegTest, DecodesColourAndGreyToWhatPillowSees) {
  for (const std::string name : {"rgb", "grey"}) {
    write_file(path_, bytes_of(name));
    Bytes planes;
    read_jpeg(path_, 64, 64, planes);
    ASSERT_EQ(planes.size(), 3u * 64 * 64);
    for (const std::vector<int> p : files_.at(name)["points"]) {
      for (int c = 0; c < 3; ++c) {
        // Releases of libjpeg-turbo may differ by a rounding.
        EXPECT_NEAR(planes[size_t(c * 4096 + p[0] * 64 + p[1])],
                    p[size_t(2 + c)], 1)
            << name << " at " << p[0] << ", " << p[1];
      }
    }
  }
}

TEST_F(JpegTest, RejectsOtherSizesColourSpacesAndFormats) {
  EXPECT_THAT(error_for(bytes_of("small")),
              AllOf(HasSubstr("64 x 64"), HasSubstr("32 x 64")));
  EXPECT_THAT(error_for(bytes_of("cmyk")), HasSubstr("color"));
  EXPECT_THAT(error_for({'P', 'N', 'G'}), HasSubstr("JPEG"));
  EXPECT_THAT(error_for({}), HasSubstr("JPEG"));
}

TEST_F(JpegTest, RejectsEveryTruncation) {
  const Bytes whole = bytes_of("rgb");
  for (size_t size = 0; size + 2 < whole.size(); size += 23) {
    error_for(Bytes(whole.begin(), whole.begin() + ptrdiff_t(size)));
  }
}

TEST(ReadLinesTest, DropsCarriageReturnsAndEmptyLinesAtTheEnd) {
  TemporaryFolder folder;
  testing::write_text(folder.path() / "names", "cat\r\n\ndog\n\n\n");
  EXPECT_THAT(read_lines(folder.path() / "names"),
              ::testing::ElementsAre("cat", "", "dog"));
}

}  // namespace
}  // namespace dblocks::data
