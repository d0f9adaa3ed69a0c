// SPDX-License-Identifier: Apache-2.0
// How well a run denoises at each level of noise, so that blocks compare with
// each other and with a network that learned every level.
#pragma once

#include <cstdint>
#include <vector>

#include "dblocks/noise/partition.h"
#include "dblocks/tasks/readouts.h"
#include "dblocks/tasks/task.h"
#include "dblocks/tasks/unit.h"

namespace dblocks::tasks {

/// The loss at one level.
struct NoiseLoss {
  double sigma = 0;
  int64_t unit = 0;  ///< that owns sigma, and was asked
  double loss = 0;
};

/// `count` levels from sigma_min to sigma_max, evenly spaced in ln sigma.
/// Requires: at least 2.
std::vector<double> noise_levels(const noise::Partition& partition,
                                 int64_t count);

/// The training loss, mean of w(sigma) (D(y + sigma epsilon; sigma) - y)^2, on
/// images with their labels. Image i has the same epsilon at every level and in
/// every run asked with the same seed. `load_unit` is called once for each unit
/// that owns a level. *Shapes*: images: [N, C, Y, X], on the device of the
/// units. Requires: a task that generates images. Result: as `sigmas`.
std::vector<NoiseLoss> noise_losses(const Task& task,
                                    const UnitLoader& load_unit,
                                    const LabelledBatch& images,
                                    const std::vector<double>& sigmas,
                                    uint64_t seed);

}  // namespace dblocks::tasks
