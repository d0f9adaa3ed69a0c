// SPDX-License-Identifier: Apache-2.0
// Times each fused operation, forward and backward, beside its readable twin of
// LibTorch's operations, which are those that eager PyTorch runs. Rates count
// the bytes that the operation has to move at least: every input read and every
// result written once, forward and backward. Prints one JSON object.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/memory/malloc_policy.h"
#include "dblocks/ops/cuda/plugin.h"
#include "dblocks/ops/dropout.h"
#include "dblocks/ops/gelu.h"
#include "dblocks/ops/linear.h"
#include "dblocks/ops/residual.h"
#include "dblocks/optim/adamw.h"
#include "dblocks/optim/adamw_int8.h"
#include "dblocks/train/machine_probe.h"

namespace {

using namespace dblocks;
using Json = nlohmann::ordered_json;
using Run = std::function<void()>;

struct Arguments {
  std::string device = "cpu";
  int64_t batch = 32, tokens = 65, width = 768, parameters = int64_t{16} << 20;
  int64_t threads = 0;
  bool is_quick = false;
};

Json spread_json(const Spread& spread) {
  return {{"median", spread.median},
          {"min", spread.min},
          {"max", spread.max},
          {"runs", spread.runs}};
}

class Table {
 public:
  Table(at::Device device, const train::Repeats& repeats)
      : device_(device),
        repeats_(repeats),
        copy_(train::measure_copy(device, int64_t{256} << 20, repeats)) {}

  /// `bytes`: that the operation has to move.
  void add(const std::string& name,
           const std::string& type,
           double bytes,
           const Run& ours,
           const std::string& twin_name,
           const Run& twin) {
    // In turn: a machine that others use too changes from second to second.
    constexpr int kRounds = 7;
    train::Repeats few = repeats_;
    few.least = 1;
    few.seconds /= kRounds;
    std::vector<double> our_times, twin_times;
    for (int round = 0; round < kRounds; ++round) {
      our_times.push_back(train::time_runs(ours, device_, few).median);
      twin_times.push_back(train::time_runs(twin, device_, few).median);
    }
    const Spread our_time = spread_of(our_times);
    const Spread twin_time = spread_of(twin_times);
    const double rate = bytes / our_time.median;
    rows_.push_back({{"operation", name},
                     {"type", type},
                     {"bytes", bytes},
                     {"seconds", spread_json(our_time)},
                     {"bytes_per_second", rate},
                     {"share_of_copy", rate / copy_.median},
                     {"twin", twin_name},
                     {"twin_seconds", spread_json(twin_time)},
                     {"times_as_fast", twin_time.median / our_time.median}});
  }

  Json json() const {
    return {{"copy_bytes_per_second", spread_json(copy_)},
            {"operations", rows_}};
  }

 private:
  at::Device device_;
  train::Repeats repeats_;
  Spread copy_;
  Json rows_ = Json::array();
};

/// The result of `operation` and the derivatives of `inputs`.
Run with_gradients(const std::function<at::Tensor()>& operation,
                   const std::vector<at::Tensor>& inputs) {
  const at::Tensor gradient = at::randn_like(operation().detach());
  return [=] { torch::autograd::grad({operation()}, inputs, {gradient}); };
}

double bytes_of(const at::Tensor& t) {
  return static_cast<double>(t.nbytes());
}

void add_residual(const Arguments& a, at::ScalarType type, Table& table) {
  const std::string name = type == at::kFloat ? "fp32" : "bf16";
  const at::Device device(a.device);
  const auto leaf = [&](at::IntArrayRef shape, at::ScalarType of) {
    return at::randn(shape).to(device, of).requires_grad_();
  };
  const at::Tensor x = leaf({a.batch, a.tokens, a.width}, at::kFloat);
  const at::Tensor branch = leaf({a.batch, a.tokens, a.width}, type);
  const at::Tensor weight = leaf({a.width}, at::kFloat);
  const at::Tensor bias = leaf({a.width}, at::kFloat);
  const at::Tensor shift = leaf({a.batch, a.width}, at::kFloat);
  const at::Tensor scale = leaf({a.batch, a.width}, at::kFloat);
  const auto normed = [=](auto operation) {
    return with_gradients(
        [=] { return operation(x, weight, bias, 1e-12, shift, scale, type); },
        {x, weight, bias, shift, scale});
  };
  // x, y; dy, x, dx.
  table.add("norm_modulate", name, 3 * bytes_of(x) + 2 * bytes_of(branch),
            normed(ops::norm_modulate), "LibTorch's operations",
            normed(ops::norm_modulate_composed));
  const auto gated = [=](auto operation) {
    return with_gradients([=] { return operation(x, branch, scale); },
                          {x, branch, scale});
  };
  // h, branch, result; dy, branch, dbranch. dh is dy.
  table.add("gated_residual", name, 3 * bytes_of(x) + 3 * bytes_of(branch),
            gated(ops::gated_residual), "LibTorch's operations",
            gated(ops::gated_residual_composed));
}

void add_element_wise(const Arguments& a, at::ScalarType type, Table& table) {
  const std::string name = type == at::kFloat ? "fp32" : "bf16";
  const at::Tensor x = at::randn({a.batch, a.tokens, 4 * a.width})
                           .to(at::Device(a.device), type)
                           .requires_grad_();
  const auto of_x = [=](auto operation) {
    return with_gradients([=] { return operation(x); }, {x});
  };
  // x, y; dy, x, dx.
  table.add("gelu", name, 5 * bytes_of(x), of_x(ops::gelu),
            "LibTorch's operation", of_x(ops::gelu_composed));
  const auto dropped = [=](auto operation) {
    return of_x([=](const at::Tensor& t) { return operation(t, 0.1); });
  };
  // x, y; dy, dx.
  table.add("dropout", name, 4 * bytes_of(x), dropped(ops::dropout),
            "LibTorch's operation", dropped(ops::dropout_composed));
}

void add_linear(const Arguments& a, Table& table) {
  const at::Device device(a.device);
  const auto leaf = [&](at::IntArrayRef shape) {
    return at::randn(shape).to(device).requires_grad_();
  };
  const at::Tensor x = leaf({a.batch, a.tokens, a.width});
  const at::Tensor weight = leaf({4 * a.width, a.width});
  const at::Tensor bias = leaf({4 * a.width});
  const auto of_all = [=](auto operation) {
    return with_gradients([=] { return operation(x, weight, bias); },
                          {x, weight, bias});
  };
  // x, w, y; dy, w, dx; dy, x, dw. dy is four times as large as x.
  table.add("linear", "fp32", 15 * bytes_of(x) + 3 * bytes_of(weight),
            of_all(ops::linear), "LibTorch's operation",
            of_all(ops::linear_composed));
}

template <class T>
std::span<T> span_of(const at::Tensor& t) {
  return {t.data_ptr<T>(), static_cast<size_t>(t.numel())};
}

/// What torch.optim.AdamW runs for one parameter.
void adamw_composed(const optim::AdamWStep& step,
                    const at::Tensor& w,
                    const at::Tensor& g,
                    const at::Tensor& m,
                    const at::Tensor& v) {
  const auto t = static_cast<double>(step.step);
  w.mul_(1 - step.learning_rate * step.weight_decay);
  m.lerp_(g, 1 - step.beta1);
  v.mul_(step.beta2).addcmul_(g, g, 1 - step.beta2);
  const at::Tensor root =
      (v.sqrt() / std::sqrt(1 - std::pow(step.beta2, t))).add_(step.eps);
  w.addcdiv_(m, root, -step.learning_rate / (1 - std::pow(step.beta1, t)));
}

void add_adamw(const Arguments& a, Table& table) {
  const int64_t n = a.parameters;
  const at::Tensor w = at::randn({n}), g = at::randn({n});
  const at::Tensor m = at::zeros_like(w), v = at::zeros_like(w);
  const optim::ParallelFor parallel = [](int64_t chunks, const auto& body) {
    at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t chunk = begin; chunk < end; ++chunk) {
        body(chunk);
      }
    });
  };
  const optim::AdamWStep step{.learning_rate = 1e-6, .step = 10};
  const auto count = static_cast<double>(n);
  // w, g, m, v; w, m, v.
  table.add(
      "adamw", "fp32", 7 * 4 * count,
      [&] {
        optim::adamw_update(step,
                            {span_of<float>(w), span_of<float>(g),
                             span_of<float>(m), span_of<float>(v), n},
                            parallel);
      },
      "LibTorch's operations", [&] { adamw_composed(step, w, g, m, v); });
  const at::Tensor m_codes = at::zeros({n}, at::kByte);
  const at::Tensor v_codes = at::zeros({n}, at::kByte);
  const at::Tensor m_scales = at::zeros({n / kMomentBlock});
  const at::Tensor v_scales = at::zeros({n / kMomentBlock});
  const optim::AdamWInt8Buffers buffers{
      span_of<float>(w),
      span_of<float>(g),
      {span_of<uint8_t>(m_codes), span_of<float>(m_scales)},
      {span_of<uint8_t>(v_codes), span_of<float>(v_scales)},
      n};
  // w, g; w; two codes both ways, and two scales a block.
  table.add(
      "adamw", "int8 moments",
      (3 * 4 + 4 + 4.0 * 4 / static_cast<double>(kMomentBlock)) * count,
      [&] { optim::adamw_int8_update(step, buffers, parallel); },
      "LibTorch's operations, fp32 moments",
      [&] { adamw_composed(step, w, g, m, v); });
}

Json measure(const Arguments& arguments) {
  const at::Device device(arguments.device);
  DBLOCKS_CHECK(device.is_cpu() || ops::cuda::open_devices() > 0, DeviceError,
                "[ops] expected a CUDA device, found none");
  Table table(device, arguments.is_quick
                          ? train::Repeats{.least = 3, .most = 5}
                          : train::Repeats{.least = 7, .most = 50});
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    add_residual(arguments, type, table);
    add_element_wise(arguments, type, table);
  }
  add_linear(arguments, table);
  if (device.is_cpu()) {
    add_adamw(arguments, table);
  }
  Json json = table.json();
  json["device"] = arguments.device;
  json["threads"] = at::get_num_threads();
  json["shape"] = {arguments.batch, arguments.tokens, arguments.width};
  json["parameters"] = arguments.parameters;
  return json;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Times fused operations against their twins");
  app.add_option("--device", arguments.device)
      ->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--batch", arguments.batch)->check(CLI::PositiveNumber);
  app.add_option("--tokens", arguments.tokens)->check(CLI::PositiveNumber);
  app.add_option("--width", arguments.width,
                 "Of hidden states; GELU and dropout take 4 times as much")
      ->check(CLI::PositiveNumber);
  app.add_option("--threads", arguments.threads)->check(CLI::NonNegativeNumber);
  app.add_flag("--quick", arguments.is_quick, "Few runs of small tensors");
  CLI11_PARSE(app, argc, argv);
  if (arguments.is_quick) {
    arguments.batch = std::min<int64_t>(arguments.batch, 8);
    arguments.parameters = int64_t{2} << 20;
  }
  memory::keep_freed_memory();
  if (arguments.threads > 0) {
    at::set_num_threads(static_cast<int>(arguments.threads));
  }
  std::printf("%s\n", measure(arguments).dump(2).c_str());
  return 0;
}
