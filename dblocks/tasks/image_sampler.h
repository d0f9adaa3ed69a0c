// SPDX-License-Identifier: Apache-2.0
// Draws images from the units of a trained run. Units are loaded one after
// another: every image passes block 0, then every image block 1.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "dblocks/noise/inference_schedule.h"
#include "dblocks/tasks/generation_options.h"
#include "dblocks/tasks/readouts.h"
#include "dblocks/tasks/task.h"

namespace dblocks::tasks {

/// Which images are drawn.
struct ImageRequest {
  /// Classes of images first, first + 1, ...
  std::vector<int64_t> labels;
  /// Number of the first image in the stream of the seed: an image depends on
  /// its number, its class and the seed, not on the images drawn with it.
  int64_t first = 0;
  uint64_t seed = 0;
  c10::Device device = c10::kCPU;
};

/// The network calls of one image, each with its block; a zero follows.
/// *Errors*: ConfigError for steps_per_block of another length than blocks.
std::vector<noise::ScheduledSigma> sampling_schedule(
    const Task& task, const SamplingOptions& options);

/// The blocks that a schedule never calls.
std::vector<int64_t> uncalled_blocks(
    const std::vector<noise::ScheduledSigma>& schedule, int64_t num_blocks);

/// Draws images in the scale of training, on the CPU. `load_unit` is called
/// once for each unit that the schedule calls, block 0 first. *Shapes*: result:
/// [N, C, Y, X] float32. On the CPU the network is always given the same number
/// of images in the same places, so that an image is the same to the bit in any
/// company. *Errors*: ConfigError for a task that generates no images, a class
/// that does not exist, guidance of a network trained without label dropout.
at::Tensor sample_images(const Task& task,
                         const UnitLoader& load_unit,
                         const SamplingOptions& options,
                         const ImageRequest& request,
                         const EvaluationProgress& progress = {});

/// Images in the units of the data: x * std + mean. *Shapes*: as images,
/// [N, C, Y, X] float32; mean, std: one number a channel.
at::Tensor to_values(const at::Tensor& images,
                     const std::vector<double>& mean,
                     const std::vector<double>& std);

/// Pixels of images in the scale of training: x * std + mean in [0, 1], rounded
/// to 8 bits. *Shapes*: images: [N, C, Y, X]; mean, std: one number a channel;
/// result: [N, Y, X, C] uint8.
at::Tensor to_pixels(const at::Tensor& images,
                     const std::vector<double>& mean,
                     const std::vector<double>& std);

/// The other way. *Shapes*: pixels: [N, Y, X, C] uint8; result: [N, C, Y, X]
/// float32.
at::Tensor from_pixels(const at::Tensor& pixels,
                       const std::vector<double>& mean,
                       const std::vector<double>& std);

}  // namespace dblocks::tasks
