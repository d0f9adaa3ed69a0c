// SPDX-License-Identifier: Apache-2.0
#include "dblocks/sampling/trajectory.h"

#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "dblocks/core/error.h"
#include "dblocks/sampling/euler.h"

namespace dblocks::sampling {

Trajectory::Trajectory(std::vector<noise::ScheduledSigma> schedule,
                       const StepOptions& options,
                       at::Tensor z,
                       StepNoise noise)
    : schedule_(std::move(schedule)),
      options_(options),
      noise_(std::move(noise)),
      z_(std::move(z)) {
  DBLOCKS_ASSERT(!schedule_.empty() && z_.scalar_type() == at::kDouble,
                 "a trajectory of {} steps", schedule_.size());
  begin_step();
}

double Trajectory::target() const {
  return step_ + 1 < schedule_.size() ? schedule_[step_ + 1].sigma : 0;
}

void Trajectory::begin_step() {
  sigma_ = schedule_[step_].sigma;
  if (options_.churn == 0 || sigma_ < options_.churn_low ||
      sigma_ > options_.churn_high) {
    return;
  }
  const double share =
      std::min(options_.churn / static_cast<double>(schedule_.size()),
               std::numbers::sqrt2 - 1);
  const double raised = sigma_ * (1 + share);
  z_ = z_ + noise_(static_cast<int64_t>(step_)) *
                (std::sqrt(raised * raised - sigma_ * sigma_) *
                 options_.churn_noise);
  sigma_ = raised;
}

noise::ScheduledSigma Trajectory::next() const {
  return slope_.defined()
             ? schedule_[step_ + 1]
             : noise::ScheduledSigma{sigma_, schedule_[step_].block};
}

void Trajectory::advance(const at::Tensor& denoised) {
  const double end = target();
  if (slope_.defined()) {
    const at::Tensor second = (z_ - denoised) / end;
    z_ = start_ + (slope_ + second) * ((end - sigma_) / 2);
    start_ = at::Tensor();
    slope_ = at::Tensor();
  } else {
    if (options_.is_second_order && end > 0) {
      start_ = z_;
      slope_ = (z_ - denoised) / sigma_;
    }
    z_ = euler_step(z_, denoised, sigma_, end);
    if (slope_.defined()) {
      return;
    }
  }
  ++step_;
  if (!is_done()) {
    begin_step();
  }
}

}  // namespace dblocks::sampling
