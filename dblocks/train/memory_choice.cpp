// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/memory_choice.h"

#include <algorithm>
#include <tuple>

#include "dblocks/train/step_plan.h"

namespace dblocks::train {
namespace {

constexpr double kForwardShare = 1.0 / 3;
constexpr double kHalvingCost = 0.03;

/// Share of the layers' work that recomputation does again.
double recomputed_share(const RunSetup& setup) {
  double share = 0;
  for (const memory::UnitShape& unit : unit_shapes(setup)) {
    const auto layers = static_cast<double>(unit.num_layers);
    share = std::max(share, (layers - 1) / layers);
  }
  return share;
}

int64_t peak_of(const RunSetup& setup) {
  const std::vector<memory::UnitPlan> plans = plan_steps(setup);
  return std::ranges::max_element(plans, {}, &memory::UnitPlan::peak_bytes)
      ->peak_bytes;
}

/// Every setting that needs less than the run's own in some respect, and that
/// itself, by time.
std::vector<MemorySettings> candidates(const RunSetup& setup) {
  const double again = kForwardShare * recomputed_share(setup);
  const int64_t batch = setup.loader.batch_size;
  const int64_t own = setup.train.micro_batch > 0
                          ? std::min(setup.train.micro_batch, batch)
                          : batch;
  std::vector<MemorySettings> all;
  for (const MomentFormat moments :
       {setup.optim.moments, MomentFormat::kInt8}) {
    for (const bool recompute : {setup.task.recompute, true}) {
      const bool adds_recompute = recompute && !setup.task.recompute;
      double time = adds_recompute ? 1 + again : 1;
      for (int64_t size = own;; size = (size + 1) / 2) {
        all.push_back({.recompute = recompute,
                       .micro_batch = size == batch ? 0 : size,
                       .moments = moments,
                       .relative_time = time});
        time += kHalvingCost;
        if (size == 1) {
          break;
        }
      }
      if (!adds_recompute && setup.task.recompute) {
        break;
      }
    }
    if (setup.optim.moments == MomentFormat::kInt8) {
      break;
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
