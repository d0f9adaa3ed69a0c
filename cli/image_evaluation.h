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

/// Draws images and compares them with real ones, and measures the loss by
/// level of noise, also of the run `against` if one is named; prints and keeps
/// the figures. *Errors*: ConfigError for a classifier run that is none or
/// reads other images, and for a run `against` of another kind.
ExitCode evaluate_images(const CommonFlags& flags,
                         const std::string& run,
                         const std::string& against,
                         const RunContext& context,
                         at::Device device);

}  // namespace dblocks::cli
