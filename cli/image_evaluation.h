// SPDX-License-Identifier: Apache-2.0
// `dblocks eval` of a run that generates images.
#pragma once

#include <c10/core/Device.h>

#include <string>

#include "cli/command.h"
#include "cli/run_context.h"

namespace dblocks::cli {

/// The picture that it leaves in the run.
inline constexpr const char* kSampleGridName = "samples.png";

struct ImageEvaluationRequest {
  std::string run;
  std::string against;  ///< another run, whose losses are measured too, or ""
  std::string samples;  ///< file of images to measure instead, or ""
};

/// Draws images and compares them with real ones, and measures the loss by
/// level of noise, also of the run `against` if one is named; prints and keeps
/// the figures. Images from a file are compared alone, and nothing is kept.
/// *Errors*: ConfigError for a classifier run that is none or reads other
/// images, and for a run `against` of another kind; those of open_reference()
/// and open_images().
ExitCode evaluate_images(const CommonFlags& flags,
                         const ImageEvaluationRequest& asked,
                         const RunContext& context,
                         at::Device device);

}  // namespace dblocks::cli
