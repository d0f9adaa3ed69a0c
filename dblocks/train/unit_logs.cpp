// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/unit_logs.h"

#include <nlohmann/json.hpp>

namespace dblocks::train {

void UnitLogs::write(int64_t unit, const nlohmann::ordered_json& line) {
  log(unit).write(line);
  events(unit).write_scalars(line);
  last_[unit] = {.loss = line.at("loss").get<double>(),
                 .accuracy = line.value("accuracy", double{NAN})};
}

UnitEvents& UnitLogs::events(int64_t unit) {
  return events_.try_emplace(unit, folder_.unit(unit), committed_[unit])
      .first->second;
}

std::function<void()> UnitLogs::sync_of(int64_t unit) {
  const auto found_log = logs_.find(unit);
  report::JsonLinesLog* log =
      found_log == logs_.end() ? nullptr : &found_log->second;
  const auto found_events = events_.find(unit);
  UnitEvents* events =
      found_events == events_.end() ? nullptr : &found_events->second;
  return [log, events] {
    if (log != nullptr) {
      log->sync();
    }
    if (events != nullptr) {
      events->sync();
    }
  };
}

void UnitLogs::forget(int64_t unit) {
  logs_.erase(unit);
  events_.erase(unit);
  last_.erase(unit);
}

UnitLogs::Logged UnitLogs::last(int64_t unit) const {
  const auto found = last_.find(unit);
  return found == last_.end() ? Logged{} : found->second;
}

report::JsonLinesLog& UnitLogs::log(int64_t unit) {
  auto found = logs_.find(unit);
  if (found == logs_.end()) {
    found = logs_
                .emplace(unit, report::JsonLinesLog::resume(folder_.log(unit),
                                                            committed_[unit]))
                .first;
  }
  return found->second;
}

}  // namespace dblocks::train
