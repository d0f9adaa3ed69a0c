// SPDX-License-Identifier: Apache-2.0
// What a run in training writes down beside its checkpoints: a log and
// TensorBoard events for each unit.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "dblocks/report/json_lines.h"
#include "dblocks/train/run_events.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::train {

/// The logs of the units of a run. One is opened when it is first used, and
/// continued after the newest durable step of its unit.
/// *Threads*: one, but for what sync_of() returns.
class UnitLogs {
 public:
  /// `committed`: the newest durable step of every unit, as it is when a log is
  /// opened. It must outlive this.
  UnitLogs(const RunFolder& folder, const std::vector<int64_t>& committed)
      : folder_(folder), committed_(committed) {}

  /// A line of log.jsonl, and the same as events. *Errors*: those of files.
  void write(int64_t unit, const nlohmann::ordered_json& line);

  UnitEvents& events(int64_t unit);

  /// Makes what was written of a unit durable; for any thread, as long as the
  /// unit is not forgotten.
  std::function<void()> sync_of(int64_t unit);

  /// Of a unit that goes back: what is written next continues after its newest
  /// durable step.
  void forget(int64_t unit);

  /// Of the last line; NaN where there is none yet, or no accuracy in it.
  struct Logged {
    double loss = NAN, accuracy = NAN;
  };
  Logged last(int64_t unit) const;

 private:
  report::JsonLinesLog& log(int64_t unit);

  RunFolder folder_;
  const std::vector<int64_t>& committed_;
  std::map<int64_t, report::JsonLinesLog> logs_;
  std::map<int64_t, UnitEvents> events_;
  std::map<int64_t, Logged> last_;
};

}  // namespace dblocks::train
