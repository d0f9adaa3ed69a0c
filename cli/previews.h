// SPDX-License-Identifier: Apache-2.0
// Images drawn from a run while it trains, always of the same noise and
// classes, so that one sees it learn.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "cli/run_context.h"
#include "dblocks/report/progress.h"
#include "dblocks/report/run_page.h"
#include "dblocks/train/run_setup.h"

namespace dblocks::cli {

/// Folder of a run with a picture for each preview, named after the steps that
/// every block had done at least.
inline constexpr const char* kPreviewsName = "previews";

/// Draws them between steps from the newest checkpoints, so that training's
/// state and random streams are not touched; in memory are then one more
/// block's weights and a few images.
class Previews {
 public:
  /// Requires: `context` outlives this.
  Previews(const RunContext& context,
           const train::RunFolder& folder,
           at::Device device);

  /// Draws, if report.previews_every_steps asks for it and every block's newest
  /// checkpoint has reached the next such step. What goes wrong is a warning.
  void after_step(const report::Progress& progress);

 private:
  void draw(int64_t steps) const;

  const RunContext& context_;
  train::RunFolder folder_;
  at::Device device_;
  int64_t every_ = 0;
  int64_t drawn_ = 0;  // steps of the newest preview
};

/// The previews of a run, at most `most` of them: the first, the last and some
/// between. Files that are none are left out.
std::vector<report::Preview> read_previews(const std::filesystem::path& run,
                                           size_t most);

}  // namespace dblocks::cli
