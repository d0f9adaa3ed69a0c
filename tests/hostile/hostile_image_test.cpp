// SPDX-License-Identifier: Apache-2.0
// Image files meant to do harm: each is decoded or refused within the limits.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <zlib.h>

#include <cstdint>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/data/image_file.h"
#include "tests/hostile/limits.h"

namespace dblocks::data {
namespace {

using Bytes = std::vector<uint8_t>;

const nlohmann::json& reference() {
  static const auto content =
      nlohmann::json::parse(std::ifstream("tests/data/image_reference.json"));
  return content;
}

Bytes from_hex(const std::string& text) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(
        static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// libpng and libjpeg allocate with malloc, so the process's peak is looked at.
size_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

// Decodes to a small square, as training does; returns whether it was refused.
bool is_refused(const Bytes& file) {
  static Image image;
  const size_t before = peak_resident_bytes();
  testing::start_counting();
  bool refused = false;
  try {
    decode_image(
        file, "hostile", 3,
        [](int64_t rows, int64_t columns) {
          return centred_view(rows, columns, 32, 32);
        },
        image);
  } catch (const DataError& error) {
    refused = std::string(error.what()).find("hostile") != std::string::npos;
    EXPECT_TRUE(refused) << error.what();
  }
  const testing::Cost cost = testing::cost_so_far();
  EXPECT_LE(cost.seconds, testing::kMaxSeconds);
  EXPECT_LE(cost.peak_bytes, testing::kMaxGrowthBytes);
#if !defined(__SANITIZE_ADDRESS__)
  EXPECT_LE(peak_resident_bytes() - before, testing::kMaxGrowthBytes);
#endif
  return refused;
}

TEST(HostileImageTest, EveryTruncationIsRefused) {
  for (const auto& entry : reference()["files"]) {
    const Bytes whole = from_hex(entry["file"]);
    ASSERT_FALSE(is_refused(whole)) << entry["name"];
    // libjpeg makes up a lost end marker when all pixels are there.
    const bool is_png = whole[0] == 0x89;
    for (size_t size = 0; size + (is_png ? 0 : 2) < whole.size(); ++size) {
      ASSERT_TRUE(
          is_refused(Bytes(whole.begin(), whole.begin() + ptrdiff_t(size))))
          << entry["name"] << " cut to " << size;
    }
  }
}

TEST(HostileImageTest, EveryFlippedBitIsRefusedOrHarmless) {
  int64_t tried = 0;
  for (const auto& entry : reference()["files"]) {
    Bytes file = from_hex(entry["file"]);
    for (size_t i = 0; i < file.size(); ++i) {
      for (int bit = 0; bit < 8; ++bit, ++tried) {
        file[i] ^= static_cast<uint8_t>(1 << bit);
        is_refused(file);
        file[i] ^= static_cast<uint8_t>(1 << bit);
      }
    }
  }
  EXPECT_GT(tried, 50'000);
}

void append(Bytes& to, uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    to.push_back(static_cast<uint8_t>(number >> shift));
  }
}

void append_chunk(Bytes& to, const std::string& kind, const Bytes& data) {
  Bytes body(kind.begin(), kind.end());
  body.insert(body.end(), data.begin(), data.end());
  append(to, static_cast<uint32_t>(data.size()));
  to.insert(to.end(), body.begin(), body.end());
  append(to, static_cast<uint32_t>(
                 crc32(0, body.data(), static_cast<uInt>(body.size()))));
}

Bytes deflated(size_t zeros) {
  const Bytes in(zeros);
  uLongf size = compressBound(zeros);
  Bytes out(size);
  compress2(out.data(), &size, in.data(), zeros, 9);
  out.resize(size);
  return out;
}

struct PngShape {
  uint32_t width;
  uint32_t height;
  uint8_t depth = 8;
  uint8_t colour = 2;
  uint8_t interlaced = 0;
};

Bytes png_of(
    const PngShape& shape,
    const Bytes& data,
    const std::function<void(Bytes&)>& chunks = [](Bytes&) {}) {
  Bytes file = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  Bytes header;
  append(header, shape.width);
  append(header, shape.height);
  for (const uint8_t value :
       {shape.depth, shape.colour, uint8_t{0}, uint8_t{0}, shape.interlaced}) {
    header.push_back(value);
  }
  append_chunk(file, "IHDR", header);
  chunks(file);
  append_chunk(file, "IDAT", data);
  append_chunk(file, "IEND", {});
  return file;
}

TEST(HostileImageTest, PngsLargerThanTheirFilesAreRefused) {
  const Bytes little = deflated(1000);
  EXPECT_TRUE(is_refused(png_of({1u << 31, 1}, little)));
  EXPECT_TRUE(is_refused(png_of({0x7fffffff, 0x7fffffff}, little)));
  EXPECT_TRUE(is_refused(png_of({60'000, 60'000}, little)));
  EXPECT_TRUE(is_refused(png_of({8'000, 8'000}, little)));
  EXPECT_TRUE(is_refused(png_of({8'000, 8'000, 1, 0}, little)));
  EXPECT_TRUE(is_refused(png_of({4'000, 4'000, 8, 2, 1}, little)));
  EXPECT_TRUE(is_refused(png_of({8'000, 8'000}, deflated(20'000))));
  EXPECT_TRUE(is_refused(png_of({0, 5}, little)));
  EXPECT_TRUE(is_refused(png_of({1'400, 1'400}, little)));
  EXPECT_TRUE(is_refused(png_of({1'400, 1'400, 16, 6, 1}, little)));
}

TEST(HostileImageTest, CompressedTextsAndProfilesAreNotUnpacked) {
  const Bytes bomb = deflated(size_t{64} << 20);
  for (const std::string kind : {"iCCP", "zTXt"}) {
    Bytes data = {'n', 'a', 'm', 'e', 0, 0};
    data.insert(data.end(), bomb.begin(), bomb.end());
    EXPECT_FALSE(is_refused(png_of({4, 4}, deflated(13 * 4), [&](Bytes& file) {
      append_chunk(file, kind, data);
    })));
  }
}

TEST(HostileImageTest, JpegsLargerThanTheirFilesAreRefused) {
  for (const auto& entry : reference()["files"]) {
    Bytes file = from_hex(entry["file"]);
    if (file[0] != 0xff) {
      continue;
    }
    // The frame header: marker, length, precision, rows, columns.
    for (size_t i = 2; i + 9 < file.size(); ++i) {
      if (file[i] == 0xff && (file[i + 1] == 0xc0 || file[i + 1] == 0xc2)) {
        for (size_t k = 0; k < 4; ++k) {
          file[i + 5 + k] = k % 2 == 0 ? 0xf0 : 0x00;
        }
        break;
      }
    }
    EXPECT_TRUE(is_refused(file)) << entry["name"];
  }
}

// A progressive file whose last scan is repeated without end.
TEST(HostileImageTest, AJpegOfManyScansIsRefused) {
  for (const auto& entry : reference()["files"]) {
    if (entry["name"] != "jpeg_progressive") {
      continue;
    }
    const Bytes whole = from_hex(entry["file"]);
    size_t last = 0;
    for (size_t i = 0; i + 1 < whole.size(); ++i) {
      last = whole[i] == 0xff && whole[i + 1] == 0xda ? i : last;
    }
    const Bytes scan(whole.begin() + ptrdiff_t(last), whole.end() - 2);
    Bytes file(whole.begin(), whole.end() - 2);
    for (int i = 0; i < 2'000; ++i) {
      file.insert(file.end(), scan.begin(), scan.end());
    }
    file.insert(file.end(), whole.end() - 2, whole.end());
    EXPECT_TRUE(is_refused(file));
  }
}

}  // namespace
}  // namespace dblocks::data
