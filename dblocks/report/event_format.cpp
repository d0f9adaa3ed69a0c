// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/event_format.h"

#include <array>
#include <bit>
#include <cstring>

namespace dblocks::report {
namespace {

static_assert(std::endian::native == std::endian::little,
              "numbers are copied into files as they lie in memory");

enum WireType : uint32_t {
  kVarint = 0,
  kFixed64 = 1,
  kSized = 2,
  kFixed32 = 5
};

constexpr size_t kHeadBytes = 12;  // size and its checksum
constexpr size_t kTailBytes = 4;

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) {
      crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
    }
    table[byte] = crc;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();

template <class T>
void put_raw(std::string& out, T value) {
  std::array<char, sizeof(T)> bytes;
  std::memcpy(bytes.data(), &value, sizeof(T));
  out.append(bytes.data(), bytes.size());
}

template <class T>
T raw_at(std::string_view bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

void put_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

void put_key(std::string& out, uint32_t field, WireType type) {
  put_varint(out, field << 3 | type);
}

void put_integer(std::string& out, uint32_t field, int64_t value) {
  put_key(out, field, kVarint);
  put_varint(out, static_cast<uint64_t>(value));
}

void put_double(std::string& out, uint32_t field, double value) {
  put_key(out, field, kFixed64);
  put_raw(out, value);
}

void put_float(std::string& out, uint32_t field, float value) {
  put_key(out, field, kFixed32);
  put_raw(out, value);
}

void put_bytes(std::string& out, uint32_t field, std::string_view bytes) {
  put_key(out, field, kSized);
  put_varint(out, bytes.size());
  out += bytes;
}

void put_doubles(std::string& out,
                 uint32_t field,
                 std::span<const double> values) {
  put_key(out, field, kSized);
  put_varint(out, values.size_bytes());
  for (const double value : values) {
    put_raw(out, value);
  }
}

bool skip(std::string_view& bytes, uint64_t count) {
  if (count > bytes.size()) {
    return false;
  }
  bytes.remove_prefix(count);
  return true;
}

std::optional<uint64_t> take_varint(std::string_view& bytes) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      return value;
    }
  }
  return std::nullopt;
}

// Skips a value other than a varint.
bool skip_value(std::string_view& bytes, uint64_t type) {
  switch (type) {
    case kFixed64:
      return skip(bytes, 8);
    case kFixed32:
      return skip(bytes, 4);
    case kSized: {
      const std::optional<uint64_t> size = take_varint(bytes);
      return size && skip(bytes, *size);
    }
    default:
      return false;
  }
}

std::string event_at(double wall_seconds, int64_t step) {
  std::string event;
  put_double(event, 1, wall_seconds);
  put_integer(event, 2, step);
  return event;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (const char c : bytes) {
    crc = crc >> 8 ^ kCrcTable[(crc ^ static_cast<uint8_t>(c)) & 0xff];
  }
  return ~crc;
}

uint32_t masked_crc32c(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

std::string event_record(std::string_view data) {
  std::string record;
  put_raw(record, static_cast<uint64_t>(data.size()));
  put_raw(record, masked_crc32c(record));
  record += data;
  put_raw(record, masked_crc32c(data));
  return record;
}

void EventSummary::add_scalar(std::string_view tag, float value) {
  std::string field;
  put_float(field, 2, value);
  add_value(tag, field);
}

void EventSummary::add_image(std::string_view tag, const PixelImage& image) {
  std::string body;
  put_integer(body, 1, image.rows);
  put_integer(body, 2, image.columns);
  put_integer(body, 3, image.channels);
  put_bytes(body, 4, png_bytes(image));
  std::string field;
  put_bytes(field, 4, body);
  add_value(tag, field);
}

void EventSummary::add_histogram(std::string_view tag,
                                 const Histogram& histogram) {
  std::string body;
  put_double(body, 1, histogram.min);
  put_double(body, 2, histogram.max);
  put_double(body, 3, histogram.count);
  put_double(body, 4, histogram.sum);
  put_double(body, 5, histogram.sum_squares);
  put_doubles(body, 6, histogram.limits);
  put_doubles(body, 7, histogram.counts);
  std::string field;
  put_bytes(field, 5, body);
  add_value(tag, field);
}

void EventSummary::add_value(std::string_view tag, std::string_view field) {
  std::string value;
  put_bytes(value, 1, tag);
  value += field;
  put_bytes(bytes_, 1, value);
}

std::string version_event(double wall_seconds) {
  std::string event;
  put_double(event, 1, wall_seconds);
  put_bytes(event, 3, "brain.Event:2");
  return event;
}

std::string session_start_event(double wall_seconds, int64_t step) {
  std::string event = event_at(wall_seconds, step);
  std::string session;
  put_integer(session, 1, 1);
  put_bytes(event, 7, session);
  return event;
}

std::string summary_event(double wall_seconds,
                          int64_t step,
                          const EventSummary& summary) {
  std::string event = event_at(wall_seconds, step);
  put_bytes(event, 5, summary.bytes());
  return event;
}

std::optional<EventHead> read_event(std::string_view data) {
  EventHead head;
  while (!data.empty()) {
    const std::optional<uint64_t> key = take_varint(data);
    if (!key) {
      return std::nullopt;
    }
    const uint64_t field = *key >> 3, type = *key & 7;
    if (type == kVarint) {
      const std::optional<uint64_t> value = take_varint(data);
      if (!value) {
        return std::nullopt;
      }
      if (field == 2) {
        head.step = static_cast<int64_t>(*value);
      }
    } else if (!skip_value(data, type)) {
      return std::nullopt;
    }
    head.has_summary = head.has_summary || (field == 5 && type == kSized);
  }
  return head;
}

std::optional<std::string_view> take_record(std::string_view& bytes) {
  if (bytes.size() < kHeadBytes + kTailBytes ||
      raw_at<uint32_t>(bytes, 8) != masked_crc32c(bytes.substr(0, 8))) {
    return std::nullopt;
  }
  const auto size = raw_at<uint64_t>(bytes, 0);
  if (size > bytes.size() - kHeadBytes - kTailBytes) {
    return std::nullopt;
  }
  const std::string_view data = bytes.substr(kHeadBytes, size);
  if (raw_at<uint32_t>(bytes, kHeadBytes + size) != masked_crc32c(data)) {
    return std::nullopt;
  }
  bytes.remove_prefix(kHeadBytes + size + kTailBytes);
  return data;
}

}  // namespace dblocks::report
