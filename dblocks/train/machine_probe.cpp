// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/machine_probe.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <chrono>

#include "dblocks/ops/linear.h"

namespace dblocks::train {
namespace {

using Clock = std::chrono::steady_clock;

double timed(const std::function<void()>& run, at::Device device) {
  const Clock::time_point start = Clock::now();
  run();
  wait_for(device);
  return std::chrono::duration<double>(Clock::now() - start).count();
}

at::Tensor filled(int64_t bytes, const at::TensorOptions& options) {
  return at::empty({bytes}, options.dtype(at::kByte)).fill_(1);
}

/// Seconds of every product that one kind of them takes in a step.
double seconds_of(const memory::Product& p,
                  const at::TensorOptions& options,
                  const Repeats& repeats) {
  const auto made = [&](int64_t rows, int64_t columns) {
    return at::empty({p.batch, rows, columns}, options).fill_(0.5);
  };
  const at::Tensor x = made(p.rows, p.inner);
  const at::Tensor w = made(p.inner, p.columns);
  const auto median = [&](const at::Tensor& a, const at::Tensor& b) {
    return time_runs([&] { ops::product(a, b); }, options.device(), repeats)
        .median;
  };
  // One product is one of matrices, as linear layers have it.
  const auto part = [&](const at::Tensor& t) {
    return p.batch == 1 ? t.squeeze(0) : t;
  };
  const auto count = static_cast<double>(p.count);
  double seconds =
      (count + static_cast<double>(p.again)) * median(part(x), part(w));
  if (p.derivatives > 0) {
    const at::Tensor dy = made(p.rows, p.columns);
    seconds += count * median(part(x.transpose(1, 2)), part(dy));
    if (p.derivatives > 1) {
      seconds += count * median(part(dy), part(w.transpose(1, 2)));
    }
  }
  return seconds;
}

}  // namespace

void wait_for(at::Device device) {
  if (!device.is_cpu()) {
    // Reading a number waits for what was asked for before it.
    at::zeros({1}, at::TensorOptions(at::kFloat).device(device)).item();
  }
}

Spread time_runs(const std::function<void()>& run,
                 at::Device device,
                 const Repeats& repeats) {
  for (int64_t i = 0; i < repeats.warmup; ++i) {
    run();
  }
  wait_for(device);
  std::vector<double> seconds;
  double sum = 0;
  while (std::ssize(seconds) < repeats.least ||
         (sum < repeats.seconds && std::ssize(seconds) < repeats.most)) {
    seconds.push_back(timed(run, device));
    sum += seconds.back();
  }
  return spread_of(seconds);
}

MatmulPeak measure_matmul(at::ScalarType type,
                          at::Device device,
                          const std::vector<int64_t>& sizes,
                          const Repeats& repeats) {
  c10::InferenceMode inference;
  MatmulPeak peak;
  for (const int64_t n : sizes) {
    const at::TensorOptions options = at::TensorOptions(type).device(device);
    const at::Tensor a = at::randn({n, n}, options.dtype(at::kFloat)).to(type);
    const auto multiply = [&] { ops::product(a, a); };
    const double flops = 2.0 * static_cast<double>(n * n * n);
    const double first = timed(multiply, device);
    const bool is_slow = first > repeats.seconds;
    const Spread rate =
        (is_slow ? spread_of({first}) : time_runs(multiply, device, repeats))
            .rate_of(flops);
    if (rate.median > peak.flops_per_second.median) {
      peak = {n, rate};
    }
    if (is_slow) {
      break;
    }
  }
  return peak;
}

double measure_products(const std::vector<memory::Product>& products,
                        at::ScalarType type,
                        at::Device device,
                        const Repeats& repeats) {
  c10::InferenceMode inference;
  const at::TensorOptions options = at::TensorOptions(type).device(device);
  double seconds = 0, flops = 0;
  for (const memory::Product& p : products) {
    seconds += seconds_of(p, options, repeats);
    flops += p.flops() * p.times();
  }
  return flops / seconds;
}

Spread measure_copy(at::Device device, int64_t bytes, const Repeats& repeats) {
  c10::InferenceMode inference;
  const at::Tensor from = filled(bytes, at::TensorOptions(device));
  const at::Tensor to = filled(bytes, at::TensorOptions(device));
  return time_runs([&] { to.copy_(from); }, device, repeats)
      .rate_of(2.0 * static_cast<double>(bytes));
}

std::optional<LinkRates> measure_link(at::Device device,
                                      int64_t bytes,
                                      const Repeats& repeats) {
  if (device.is_cpu()) {
    return std::nullopt;
  }
  c10::InferenceMode inference;
  const at::Tensor there = filled(bytes, at::TensorOptions(device));
  const at::Tensor here =
      filled(bytes, at::TensorOptions().pinned_memory(true));
  const auto rate = [&](const at::Tensor& to, const at::Tensor& from) {
    return time_runs([&] { to.copy_(from, true); }, device, repeats)
        .rate_of(static_cast<double>(bytes));
  };
  return LinkRates{.to_device = rate(there, here),
                   .to_host = rate(here, there)};
}

}  // namespace dblocks::train
