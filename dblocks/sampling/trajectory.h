// SPDX-License-Identifier: Apache-2.0
// The way from noise to data along the probability flow, one network call after
// another. Who makes the calls, and with which block, is the caller's business:
// blocks can so be loaded one after another.
//
//   Trajectory path(schedule, {}, initial_noise);
//   while (!path.is_done()) {
//     path.advance(denoise(path.input(), path.next()));
//   }
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "dblocks/noise/inference_schedule.h"

namespace dblocks::sampling {

/// How a step is taken.
struct StepOptions {
  /// Heun's method: the mean of the slopes at both ends of a step, the second
  /// one by the block that owns the end. The last step, to zero, has one slope.
  bool is_second_order = false;
  /// S_churn: noise put back over all steps where sigma is in the interval;
  /// with 0 none is.
  double churn = 0;
  double churn_low = 0;
  double churn_high = std::numeric_limits<double>::infinity();
  double churn_noise = 1;  ///< S_noise
};

/// Standard normal noise for step `step`, in the shape of z; needed with churn.
using StepNoise = std::function<at::Tensor(int64_t step)>;

/// *Source*: Karras et al. 2022, arXiv 2206.00364, algorithms 1 and 2, with the
/// schedule's sigmas followed by zero. With churn a step starts at a raised
/// sigma; the block of the step is called there all the same.
class Trajectory {
 public:
  /// Starts at z, float64, whose noise has the schedule's first sigma.
  /// Requires: a schedule that descends and is not empty; `noise` with churn.
  Trajectory(std::vector<noise::ScheduledSigma> schedule,
             const StepOptions& options,
             at::Tensor z,
             StepNoise noise = {});

  bool is_done() const { return step_ == schedule_.size(); }

  /// The call that is wanted next. Requires: not done.
  noise::ScheduledSigma next() const;

  /// What the network is asked about: z at next().sigma. Once done, the result.
  const at::Tensor& input() const { return z_; }

  /// Takes the answer of the call: D, in the shape of z.
  void advance(const at::Tensor& denoised);

 private:
  double target() const;  // the sigma that the present step ends at
  void begin_step();

  std::vector<noise::ScheduledSigma> schedule_;
  StepOptions options_;
  StepNoise noise_;
  size_t step_ = 0;
  double sigma_ = 0;  // where the present step starts, raised by churn
  at::Tensor z_;
  at::Tensor start_, slope_;  // of a step whose second slope is wanted
};

}  // namespace dblocks::sampling
