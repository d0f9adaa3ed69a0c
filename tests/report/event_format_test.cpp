// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/event_format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

namespace dblocks::report {
namespace {

// RFC 3720, appendix B.4, and the check value of the CRC catalogue.
TEST(Crc32cTest, KnownVectors) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string rising(32, '\0');
  std::iota(rising.begin(), rising.end(), '\0');
  EXPECT_EQ(crc32c(rising), 0x46dd794eu);
}

// Written by tensorboard.summary.writer.record_writer for the data "abc".
TEST(EventRecordTest, EqualsTheBytesThatTensorBoardWrites) {
  const std::string expected(
      "\x03\0\0\0\0\0\0\0\xb0\x99\x49\x0e"
      "abc"
      "\x6e\x57\xf1\x21",
      19);
  EXPECT_EQ(event_record("abc"), expected);
}

TEST(EventRecordTest, RecordsAreTakenOneByOne) {
  const std::string file = event_record("first") + event_record("");
  std::string_view rest = file;
  EXPECT_EQ(take_record(rest), "first");
  EXPECT_EQ(take_record(rest), "");
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(take_record(rest), std::nullopt);
}

TEST(EventRecordTest, NoPrefixAndNoDamagedRecordIsTaken) {
  const std::string record = event_record("some data");
  for (size_t size = 0; size < record.size(); ++size) {
    std::string_view rest = std::string_view(record).substr(0, size);
    EXPECT_EQ(take_record(rest), std::nullopt) << size;
    EXPECT_EQ(rest.size(), size);
  }
  for (size_t i = 0; i < record.size(); ++i) {
    std::string damaged = record;
    damaged[i] ^= 0x10;
    std::string_view rest = damaged;
    EXPECT_EQ(take_record(rest), std::nullopt) << i;
  }
}

TEST(EventRecordTest, ASizeBeyondEverythingIsNoRecord) {
  std::string head(8, '\xff');
  const uint32_t crc = masked_crc32c(head);
  head.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
  head.append(100, 'x');
  std::string_view rest = head;
  EXPECT_EQ(take_record(rest), std::nullopt);
}

TEST(EventTest, StepAndSummaryAreReadBack) {
  EventSummary summary;
  summary.add_scalar("loss", 0.5f);
  const auto event = read_event(summary_event(1.5, 300, summary));
  ASSERT_TRUE(event);
  EXPECT_EQ(event->step, 300);
  EXPECT_TRUE(event->has_summary);
  const auto start = read_event(session_start_event(1.5, 7));
  ASSERT_TRUE(start);
  EXPECT_EQ(start->step, 7);
  EXPECT_FALSE(start->has_summary);
  ASSERT_TRUE(read_event(version_event(1.5)));
  EXPECT_FALSE(read_event(version_event(1.5))->has_summary);
}

TEST(EventTest, BytesThatAreNoEventAreRefused) {
  for (const std::string bytes :
       {"\x80", "\x10", "\x09short", "\x2a\x7f", "\x0b", "\x0d\x01",
        "\x2a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"}) {
    EXPECT_FALSE(read_event(bytes)) << bytes.size();
  }
}

// Written by tensorboard.compat.proto for the same values.
TEST(EventTest, SummaryEqualsTheBytesOfAProtocolBuffer) {
  EventSummary summary;
  summary.add_scalar("a", 0.1f);
  EXPECT_EQ(summary.bytes(), std::string("\x0a\x08\x0a\x01"
                                         "a\x15\xcd\xcc\xcc\x3d",
                                         10));
}

TEST(HistogramTest, SumsAreThoseOfTheValues) {
  std::vector<float> values;
  for (int i = -100; i <= 300; ++i) {
    values.push_back(static_cast<float>(i) * 0.25f);
  }
  const Histogram h = make_histogram(values);
  EXPECT_EQ(h.min, -25);
  EXPECT_EQ(h.max, 75);
  EXPECT_EQ(h.count, 401);
  EXPECT_DOUBLE_EQ(h.sum, 401 * 25.0);
  ASSERT_EQ(h.limits.size(), h.counts.size());
  EXPECT_EQ(h.limits.back(), 75);
  EXPECT_EQ(std::accumulate(h.counts.begin(), h.counts.end(), 0.0), 401);
  double lower = h.min, expected_squares = 0;
  for (size_t i = 0; i < h.limits.size(); ++i) {
    EXPECT_LT(lower, h.limits[i]);
    const bool is_last = i + 1 == h.limits.size();
    const auto inside =
        std::count_if(values.begin(), values.end(), [&](float v) {
          return v >= lower && (is_last ? v <= h.limits[i] : v < h.limits[i]);
        });
    EXPECT_EQ(h.counts[i], static_cast<double>(inside)) << i;
    lower = h.limits[i];
  }
  for (const float v : values) {
    expected_squares += static_cast<double>(v) * v;
  }
  EXPECT_DOUBLE_EQ(h.sum_squares, expected_squares);
}

TEST(HistogramTest, EqualValuesShareABucketAndOthersAreLeftOut) {
  const Histogram h =
      make_histogram(std::vector<float>{2, NAN, 2, INFINITY, -INFINITY});
  EXPECT_EQ(h.count, 2);
  EXPECT_EQ(h.limits, std::vector<double>{2});
  EXPECT_EQ(h.counts, std::vector<double>{2});
  EXPECT_TRUE(make_histogram({}).limits.empty());
}

TEST(PngTest, EqualImagesGiveEqualFilesThatStartAsPngDoes) {
  const PixelImage image{.rows = 2, .columns = 3, .pixels = {0, 1, 2, 3, 4, 5}};
  EXPECT_EQ(png_bytes(image), png_bytes(image));
  EXPECT_TRUE(png_bytes(image).starts_with("\x89PNG\r\n\x1a\n"));
}

}  // namespace
}  // namespace dblocks::report
