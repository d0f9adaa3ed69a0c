// SPDX-License-Identifier: Apache-2.0
// The part of TensorBoard's file format that dblocks writes.
//
// An event file is a sequence of records, little endian:
//
//   uint64  size of the data
//   uint32  masked CRC32C of the eight bytes before
//   bytes   the data: one Event
//   uint32  masked CRC32C of the data
//
// masked(crc) = rotate_right(crc, 15) + 0xa282ead8, modulo 2^32.
//
// An Event is a protocol buffer. Fields written here (number: meaning, type):
//
//   Event       1: wall time in seconds, double    2: step, varint
//               3: file version, string            5: Summary
//               7: SessionLog
//   Summary     1: Value, repeated
//   Value       1: tag, string    2: scalar, float
//               4: Image          5: Histogram
//   Image       1: height   2: width   3: colour space (1 grey, 3 RGB), varint
//               4: PNG file, bytes
//   Histogram   1: min  2: max  3: count  4: sum  5: sum of squares, double
//               6: upper limits of the buckets, packed doubles
//               7: counts of the buckets, packed doubles
//   SessionLog  1: status, varint (1 = start)
//
// A field is a varint key, number * 8 + type, and a value: type 0 a varint, 1
// eight bytes, 2 a varint size and as many bytes, 5 four bytes. The first Event
// of a file carries the version "brain.Event:2". A session that starts at step
// s makes a reader that is watching the folder drop what it has seen of step s
// and later.
//
// *Source*: tensorboard 2.21, compat/proto/{event,summary,histogram}_pb2.py and
// summary/writer/record_writer.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dblocks/report/histogram.h"
#include "dblocks/report/png_encoder.h"

namespace dblocks::report {

/// CRC32C (Castagnoli: reflected polynomial 0x82f63b78).
uint32_t crc32c(std::string_view bytes);

/// A CRC as records store it.
uint32_t masked_crc32c(std::string_view bytes);

/// One record around `data`.
std::string event_record(std::string_view data);

/// The values of one event.
class EventSummary {
 public:
  void add_scalar(std::string_view tag, float value);
  void add_image(std::string_view tag, const PixelImage& image);
  void add_histogram(std::string_view tag, const Histogram& histogram);

  bool is_empty() const { return bytes_.empty(); }
  /// The Summary as a protocol buffer.
  const std::string& bytes() const { return bytes_; }

 private:
  void add_value(std::string_view tag, std::string_view field);

  std::string bytes_;
};

/// Events as protocol buffers.
std::string version_event(double wall_seconds);
std::string session_start_event(double wall_seconds, int64_t step);
std::string summary_event(double wall_seconds,
                          int64_t step,
                          const EventSummary& summary);

/// What resuming has to know of an event.
struct EventHead {
  int64_t step = 0;
  bool has_summary = false;
};

/// Reads an Event; nothing if the bytes are none.
std::optional<EventHead> read_event(std::string_view data);

/// Takes the first record off `bytes` and returns its data; nothing, leaving
/// `bytes` alone, if no whole and undamaged record is there.
std::optional<std::string_view> take_record(std::string_view& bytes);

}  // namespace dblocks::report
