// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/event_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "dblocks/core/file_system.h"
#include "dblocks/core/mapped_file.h"

namespace dblocks::report {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "events.out.tfevents.";
constexpr std::string_view kSuffix = ".dblocks";

double seconds_of(EventLog::Clock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

/// The number of the session that wrote a file of that name.
std::optional<int64_t> session_of(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix) ||
      name.size() <= kPrefix.size() + kSuffix.size()) {
    return std::nullopt;
  }
  name.remove_prefix(kPrefix.size());
  name.remove_suffix(kSuffix.size());
  int64_t number = 0;
  const auto [end, error] =
      std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size() && number >= 0
             ? std::optional(number)
             : std::nullopt;
}

struct Kept {
  int64_t size = 0;
  bool has_summary = false;
};

/// The part of a file that a run resumed from `last_step` keeps.
Kept kept_part(const fs::path& path, int64_t last_step) {
  const MappedFile file(path);
  const std::string_view all(reinterpret_cast<const char*>(file.bytes().data()),
                             file.bytes().size());
  std::string_view rest = all;
  Kept kept;
  while (const std::optional<std::string_view> data = take_record(rest)) {
    const std::optional<EventHead> event = read_event(*data);
    if (!event || event->step > last_step) {
      break;
    }
    kept.size = static_cast<int64_t>(all.size() - rest.size());
    kept.has_summary = kept.has_summary || event->has_summary;
  }
  return kept;
}

/// Shortens the files, the last one first: a process killed meanwhile leaves
/// the beginning of a log.
void drop_after(const std::vector<fs::path>& files, int64_t last_step) {
  std::for_each(files.rbegin(), files.rend(), [&](const fs::path& path) {
    const Kept kept = kept_part(path, last_step);
    if (kept.has_summary) {
      AppendFile(path, kept.size);
    } else {
      real_file_system().remove_all(path);
    }
  });
}

}  // namespace

std::vector<fs::path> event_files(const fs::path& folder) {
  std::vector<fs::path> files;
  if (!real_file_system().exists(folder)) {
    return files;
  }
  // Sorted by name, which is by number: numbers have leading zeros.
  for (const std::string& name : real_file_system().list(folder)) {
    if (session_of(name)) {
      files.push_back(folder / name);
    }
  }
  return files;
}

EventLog EventLog::resume(const fs::path& folder, int64_t last_step) {
  const std::vector<fs::path> files = event_files(folder);
  drop_after(files, last_step);
  // Never a name used before: a reader may still hold that file.
  const int64_t session =
      files.empty() ? 0 : *session_of(files.back().filename().string()) + 1;
  EventLog log(AppendFile(
      folder / fmt::format("{}{:010}{}", kPrefix, session, kSuffix), 0));
  const double now = seconds_of(Clock::now());
  log.file_.append(event_record(version_event(now)) +
                   event_record(session_start_event(now, last_step + 1)));
  return log;
}

void EventLog::write(int64_t step,
                     const EventSummary& summary,
                     Clock::time_point time) {
  if (!summary.is_empty()) {
    file_.append(event_record(summary_event(seconds_of(time), step, summary)));
  }
}

void EventLog::sync() {
  file_.sync();
}

}  // namespace dblocks::report
