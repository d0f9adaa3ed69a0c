// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/image_sampler.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "dblocks/core/error.h"
#include "dblocks/core/random.h"
#include "dblocks/sampling/trajectory.h"
#include "dblocks/tasks/image_denoising_unit.h"
#include "dblocks/tasks/per_channel.h"

namespace dblocks::tasks {
namespace {

/// Images that the network is given at once.
int64_t group_size(c10::Device device) {
  return device.is_cpu() ? 16 : 256;
}

bool is_within(const std::vector<double>& interval, double sigma) {
  return interval.empty() || (sigma >= interval[0] && sigma <= interval[1]);
}

sampling::StepOptions step_options(const SamplingOptions& o) {
  sampling::StepOptions step{.is_second_order = o.solver == Solver::kHeun,
                             .churn = o.churn,
                             .churn_noise = o.churn_noise};
  if (!o.churn_interval.empty()) {
    step.churn_low = o.churn_interval[0];
    step.churn_high = o.churn_interval[1];
  }
  return step;
}

/// Standard normal noise of images first .. first + count - 1, [count, C, Y, X]
/// in float64. `draw` 0 is where an image starts, 1 + i is put back in step i.
at::Tensor draw_noise_of(uint64_t seed,
                         int64_t first,
                         int64_t count,
                         int64_t draw,
                         const models::DitShape& shape) {
  at::Tensor noise =
      at::empty({count, shape.channels, shape.rows, shape.columns}, at::kFloat);
  const int64_t numbers = shape.channels * shape.rows * shape.columns;
  auto* values = noise.mutable_data_ptr<float>();
  for (int64_t i = 0; i < count; ++i) {
    RandomStream stream(seed, RandomPurpose::kSampling,
                        static_cast<uint64_t>(first + i),
                        static_cast<uint64_t>(draw));
    stream.fill_normal({values + i * numbers, static_cast<size_t>(numbers)});
  }
  return noise.to(at::kDouble);
}

/// The images `first` .. `first + size - 1` of the seed's stream; those that
/// are not asked for are drawn without a label and thrown away.
struct Group {
  at::Tensor labels;  // [size]
  sampling::Trajectory path;
};

/// One unit's estimate of the clean images, guided where it applies.
at::Tensor guided(const ImageDenoisingUnit& unit,
                  const SamplingOptions& options,
                  int64_t num_classes,
                  const Group& group,
                  double sigma) {
  const at::Tensor z = group.path.input().to(at::kFloat);
  const auto noise_of = [&](const at::Tensor& labels) {
    return at::full({labels.size(0)}, sigma, z.options());
  };
  if (options.guidance == 1 || !is_within(options.guidance_interval, sigma)) {
    return unit.denoise(group.labels, z, noise_of(group.labels))
        .to(at::kDouble);
  }
  const at::Tensor labels =
      at::cat({group.labels, at::full_like(group.labels, num_classes)});
  const std::vector<at::Tensor> both =
      unit.denoise(labels, at::cat({z, z}), noise_of(labels))
          .to(at::kDouble)
          .chunk(2);
  at::Tensor pushed = both[1] + (both[0] - both[1]) * options.guidance;
  const int64_t channels = options.guidance_channels;
  if (channels == 0 || channels >= z.size(1)) {
    return pushed;
  }
  return at::cat({pushed.narrow(1, 0, channels),
                  both[0].narrow(1, channels, z.size(1) - channels)},
                 1);
}

std::vector<Group> make_groups(
    const TaskOptions& task,
    const std::vector<noise::ScheduledSigma>& schedule,
    const SamplingOptions& options,
    const ImageRequest& request) {
  const int64_t size = group_size(request.device);
  const auto count = static_cast<int64_t>(request.labels.size());
  std::vector<Group> groups;
  for (int64_t first = request.first / size * size;
       first < request.first + count; first += size) {
    at::Tensor labels = at::full({size}, task.dit.num_classes, at::kLong);
    auto* values = labels.mutable_data_ptr<int64_t>();
    for (int64_t i = 0; i < size; ++i) {
      const int64_t asked = first + i - request.first;
      if (asked >= 0 && asked < count) {
        values[i] = request.labels[static_cast<size_t>(asked)];
      }
    }
    const auto noise = [seed = request.seed, device = request.device, first,
                        size, shape = task.dit](int64_t draw) {
      return draw_noise_of(seed, first, size, draw, shape).to(device);
    };
    groups.push_back(
        {labels.to(request.device),
         sampling::Trajectory(
             schedule, step_options(options), noise(0) * schedule.front().sigma,
             [noise](int64_t step) { return noise(1 + step); })});
  }
  return groups;
}

void check_request(const TaskOptions& task,
                   const SamplingOptions& options,
                   const ImageRequest& request) {
  DBLOCKS_CHECK(task.kind == TaskKind::kImageGeneration, ConfigError,
                "[sample] expected a run with task = image_generation, found "
                "{}",
                enum_name(task.kind));
  DBLOCKS_CHECK(options.guidance == 1 || task.generation.label_dropout > 0,
                ConfigError,
                "[sample] expected guidance 1 of a network trained with "
                "generation.label_dropout = 0, found {}",
                options.guidance);
  for (const int64_t label : request.labels) {
    DBLOCKS_CHECK(label >= 0 && label < task.dit.num_classes, ConfigError,
                  "[sample] expected classes from 0 to {}, found {}",
                  task.dit.num_classes - 1, label);
  }
}

/// Network calls that are left on a trajectory's schedule.
int64_t num_calls(const std::vector<noise::ScheduledSigma>& schedule,
                  const SamplingOptions& options) {
  const auto steps = static_cast<int64_t>(schedule.size());
  return options.solver == Solver::kHeun ? 2 * steps - 1 : steps;
}

}  // namespace

std::vector<noise::ScheduledSigma> sampling_schedule(
    const Task& task, const SamplingOptions& options) {
  if (!options.steps_per_block.empty()) {
    return noise::per_block_schedule(task.partition(), options.steps_per_block);
  }
  const bool is_quantile =
      options.schedule == SamplingSchedule::kQuantile ||
      (options.schedule == SamplingSchedule::kAuto && task.num_units() > 1);
  return is_quantile ? noise::quantile_schedule(task.partition(), options.steps)
                     : noise::karras_schedule(task.partition(), options.steps,
                                              options.rho);
}

std::vector<int64_t> uncalled_blocks(
    const std::vector<noise::ScheduledSigma>& schedule, int64_t num_blocks) {
  std::vector<int64_t> blocks;
  for (int64_t block = 0; block < num_blocks; ++block) {
    if (std::ranges::find(schedule, block, &noise::ScheduledSigma::block) ==
        schedule.end()) {
      blocks.push_back(block);
    }
  }
  return blocks;
}

at::Tensor sample_images(const Task& task,
                         const UnitLoader& load_unit,
                         const SamplingOptions& options,
                         const ImageRequest& request,
                         const EvaluationProgress& progress) {
  check_request(task.options(), options, request);
  c10::InferenceMode inference;
  const std::vector<noise::ScheduledSigma> schedule =
      sampling_schedule(task, options);
  std::vector<Group> groups =
      make_groups(task.options(), schedule, options, request);
  const auto calls = static_cast<double>(num_calls(schedule, options)) *
                     static_cast<double>(groups.size());
  int64_t done = 0;
  for (int64_t block = 0; block < task.num_units(); ++block) {
    std::unique_ptr<Unit> loaded;
    for (Group& group : groups) {
      while (!group.path.is_done() && group.path.next().block == block) {
        if (!loaded) {
          loaded = load_unit(block);
          loaded->network().eval();
        }
        const auto* unit = dynamic_cast<ImageDenoisingUnit*>(loaded.get());
        DBLOCKS_ASSERT(unit != nullptr, "unit {} denoises no images", block);
        group.path.advance(guided(*unit, options,
                                  task.options().dit.num_classes, group,
                                  group.path.next().sigma));
        if (progress) {
          progress(static_cast<double>(++done) / calls);
        }
      }
    }
  }
  std::vector<at::Tensor> images;
  for (const Group& group : groups) {
    DBLOCKS_ASSERT(group.path.is_done(), "a schedule whose blocks go back");
    images.push_back(group.path.input());
  }
  const int64_t before = request.first % group_size(request.device);
  return at::cat(images)
      .narrow(0, before, static_cast<int64_t>(request.labels.size()))
      .to(at::kCPU, at::kFloat);
}

at::Tensor to_values(const at::Tensor& images,
                     const std::vector<double>& mean,
                     const std::vector<double>& std) {
  return (images.to(at::kDouble) * per_channel(std, at::kDouble) +
          per_channel(mean, at::kDouble))
      .to(at::kFloat);
}

at::Tensor to_pixels(const at::Tensor& images,
                     const std::vector<double>& mean,
                     const std::vector<double>& std) {
  return (images.to(at::kDouble) * per_channel(std, at::kDouble) +
          per_channel(mean, at::kDouble))
      .mul(255)
      .round()
      .clamp(0, 255)
      .to(at::kByte)
      .permute({0, 2, 3, 1})
      .contiguous();
}

at::Tensor from_pixels(const at::Tensor& pixels,
                       const std::vector<double>& mean,
                       const std::vector<double>& std) {
  const at::Tensor values = pixels.permute({0, 3, 1, 2}).to(at::kDouble) / 255;
  return ((values - per_channel(mean, at::kDouble)) /
          per_channel(std, at::kDouble))
      .to(at::kFloat)
      .contiguous();
}

}  // namespace dblocks::tasks
