// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "dblocks/report/append_file.h"

namespace dblocks::report {

/// An append-only log of JSON objects, one a line, each written by a single
/// write() so that readers and a killed process see whole lines.
///
/// Entries carry an integer "step" that never falls. A run that is killed and
/// resumed from step s drops what it logged after s and logs it again, so its
/// log equals that of an uninterrupted run, apart from times it may hold.
///
/// *Threads*: one writer at a time, in one process.
class JsonLinesLog {
 public:
  /// Starts an empty log; an older file of that name is emptied.
  /// *Errors*: CheckpointError if the file cannot be written.
  static JsonLinesLog create(const std::filesystem::path& path);

  /// Continues a log: keeps everything up to and including the last complete
  /// line whose "step" is at most `last_step`, and cuts off the rest: later
  /// steps, half a line, rubbish. A missing file is started empty.
  /// *Errors*: CheckpointError if the file cannot be read or written.
  static JsonLinesLog resume(const std::filesystem::path& path,
                             int64_t last_step);

  /// Appends one object. Numbers that are not finite become null, bytes that
  /// are not UTF-8 become U+FFFD.
  /// *Errors*: InternalError if `entry` is not an object; DeviceError if it
  /// cannot be written (a full disk), in which case no part of it is left.
  void write(const nlohmann::ordered_json& entry);

  /// Makes what was written so far durable (fsync).
  /// *Errors*: DeviceError if that fails.
  void sync();

 private:
  JsonLinesLog(const std::filesystem::path& path, int64_t size_to_keep);

  AppendFile file_;
};

}  // namespace dblocks::report
