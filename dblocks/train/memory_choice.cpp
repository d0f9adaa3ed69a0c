// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/memory_choice.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "dblocks/train/step_plan.h"

namespace dblocks::train {
namespace {

constexpr double kForwardShare = 1.0 / 3;
constexpr double kFlopsPerSecond = 30e9;
constexpr double kSecondsPerLayer = 1e-3;  // of a pass, whatever its samples

/// Rough times of a step, of the unit with the most layers.
struct StepTime {
  explicit StepTime(const RunSetup& setup) {
    for (const memory::UnitPlan& plan : plan_steps(setup)) {
      const auto layers = static_cast<double>(plan.num_layers);
      const double flops = 6.0 * static_cast<double>(plan.num_parameters) *
                           static_cast<double>(setup.loader.batch_size *
                                               step_shape(setup).tokens);
      products = std::max(products, flops / kFlopsPerSecond);
      pass = std::max(pass, kSecondsPerLayer * (layers + 2));
      recomputed_share = std::max(recomputed_share, (layers - 1) / layers);
    }
  }

  double seconds(bool recompute, double passes) const {
    const double again = recompute ? kForwardShare * recomputed_share : 0;
    return (products + pass * passes) * (1 + again);
  }

  double products = 0;  // seconds for the whole batch
  double pass = 0;      // seconds on top for each pass
  double recomputed_share = 0;
};

int64_t peak_of(const RunSetup& setup) {
  const std::vector<memory::UnitPlan> plans = plan_steps(setup);
  return std::ranges::max_element(plans, {}, &memory::UnitPlan::peak_bytes)
      ->peak_bytes;
}

/// Settings with smaller micro-batches, recomputation or 8-bit moments, and the
/// run's own, by time.
std::vector<MemorySettings> candidates(const RunSetup& setup) {
  const StepTime time(setup);
  const int64_t batch = setup.loader.batch_size;
  const int64_t own = setup.train.micro_batch > 0
                          ? std::min(setup.train.micro_batch, batch)
                          : batch;
  const auto seconds = [&](bool recompute, int64_t size) {
    const int64_t passes = (batch + size - 1) / size;
    return time.seconds(recompute, static_cast<double>(passes));
  };
  std::set<MomentFormat> formats{setup.optim.moments, MomentFormat::kInt8};
  std::set<bool> choices{setup.task.recompute, true};
  std::vector<MemorySettings> all;
  for (const MomentFormat moments : formats) {
    for (const bool recompute : choices) {
      for (int64_t size = own; size > 0;
           size = size == 1 ? 0 : (size + 1) / 2) {
        all.push_back({.recompute = recompute,
                       .micro_batch = size == batch ? 0 : size,
                       .moments = moments,
                       .relative_time = seconds(recompute, size) /
                                        seconds(setup.task.recompute, own)});
      }
    }
  }
  std::ranges::stable_sort(all, {}, [](const MemorySettings& s) {
    return std::tuple(s.moments, s.relative_time);
  });
  return all;
}

}  // namespace

RunSetup with_settings(RunSetup setup, const MemorySettings& settings) {
  setup.task.recompute = settings.recompute;
  setup.train.micro_batch = settings.micro_batch;
  setup.optim.moments = settings.moments;
  return setup;
}

std::vector<MemorySettings> settings_for_memory(const RunSetup& setup,
                                                int64_t bytes) {
  std::vector<MemorySettings> tried;
  for (MemorySettings settings : candidates(setup)) {
    settings.peak_bytes = peak_of(with_settings(setup, settings));
    tried.push_back(settings);
    if (settings.peak_bytes <= bytes) {
      break;
    }
  }
  return tried;
}

}  // namespace dblocks::train
