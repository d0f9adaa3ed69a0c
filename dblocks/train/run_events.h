// SPDX-License-Identifier: Apache-2.0
// What a block in training tells TensorBoard.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "dblocks/data/loader.h"
#include "dblocks/report/event_log.h"
#include "dblocks/tasks/unit.h"

namespace dblocks::train {

/// The events of one unit.
/// *Errors*: those of report::EventLog.
class UnitEvents {
 public:
  /// Continues the events in the unit's folder after `last_step`, its newest
  /// durable step.
  UnitEvents(const std::filesystem::path& folder, int64_t last_step);

  /// Every number of a line of log.jsonl, rounded to float32, under its key.
  void write_scalars(const nlohmann::ordered_json& line);

  /// The first images of a batch as the network is given them, augmented, in
  /// one picture: "batch". At most 32; none where they are no pictures
  /// (latents).
  void write_batch(int64_t step,
                   const data::Batch& batch,
                   const data::DatasetInfo& info,
                   const data::LoaderOptions& loader);

  /// Histograms of what the unit trains: "weights/NAME" and, of the gradient
  /// before clipping, "gradients/NAME".
  void write_histograms(int64_t step, tasks::Unit& unit);

  /// Makes what was written durable.
  void sync() { log_.sync(); }

 private:
  report::EventLog log_;
};

}  // namespace dblocks::train
