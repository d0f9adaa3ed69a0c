// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

#include "dblocks/report/append_file.h"
#include "dblocks/report/event_format.h"

namespace dblocks::report {

/// The event files of `folder` that EventLog wrote, oldest first.
std::vector<std::filesystem::path> event_files(
    const std::filesystem::path& folder);

/// What TensorBoard shows of one block: events.out.tfevents.N.dblocks in the
/// block's folder, one file per session that logged something. The steps of
/// events never fall, within a file and from one file to the next.
///
/// A run that is killed and resumed from step s drops the events after s and
/// logs them again, as JsonLinesLog does. It does so in a new file that says
/// where it starts, so that a TensorBoard that is watching forgets them too.
///
/// *Threads*: one writer at a time, in one process.
class EventLog {
 public:
  using Clock = std::chrono::system_clock;

  /// Continues the log of a folder: cuts off what comes after the last whole
  /// record whose step is at most `last_step`, then starts a session.
  /// *Errors*: CheckpointError if a file cannot be read or written.
  static EventLog resume(const std::filesystem::path& folder,
                         int64_t last_step);

  /// Appends one event; an empty summary writes nothing.
  /// *Errors*: DeviceError if it cannot be written (a full disk), in which case
  /// no part of it is left.
  void write(int64_t step,
             const EventSummary& summary,
             Clock::time_point time = Clock::now());

  /// Makes what was written so far durable (fsync).
  /// *Errors*: DeviceError if that fails.
  void sync();

 private:
  explicit EventLog(AppendFile file) : file_(std::move(file)) {}

  AppendFile file_;
};

}  // namespace dblocks::report
