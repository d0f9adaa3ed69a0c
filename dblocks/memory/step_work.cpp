// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/step_work.h"

#include <algorithm>

namespace dblocks::memory {
namespace {

constexpr int64_t kSinusoids = 256;  // of the sigma embedding
constexpr double kFloat = 4;

using Products = std::vector<Product>;

/// `count` layers of which `rows` tokens of each sample are computed.
void add_layers(const StepShape& s,
                int64_t rows,
                const Product& like,
                Products& list) {
  const int64_t n = s.batch_size, d = s.width, key = d / s.heads;
  const auto add = [&](Product p) {
    p.count = like.count;
    p.derivatives = like.derivatives;
    p.again = like.again;
    list.push_back(p);
  };
  if (rows == s.tokens) {
    add({.rows = n * rows, .inner = d, .columns = 3 * d});
  } else {
    add({.rows = n * rows, .inner = d, .columns = d});
    add({.rows = n * s.tokens, .inner = d, .columns = 2 * d});
  }
  const int64_t heads = n * s.heads;
  add({.rows = rows, .inner = key, .columns = s.tokens, .batch = heads});
  add({.rows = rows, .inner = s.tokens, .columns = key, .batch = heads});
  add({.rows = n * rows, .inner = d, .columns = d});
  add({.rows = n * rows, .inner = d, .columns = s.mlp_width});
  add({.rows = n * rows, .inner = s.mlp_width, .columns = d});
  if (s.denoises()) {
    add({.rows = n, .inner = s.condition_width, .columns = 6 * d});
  }
}

/// Earlier units, which are run forward only.
void add_context(const StepShape& s, const UnitShape& unit, Products& list) {
  for (const int64_t layers : unit.before) {
    add_layers(s, s.tokens, {.count = layers, .derivatives = 0}, list);
  }
}

void add_stack(const StepShape& s, const UnitShape& unit, Products& list) {
  const bool reads_one = !s.generates_images;
  const int64_t whole = unit.num_layers - (reads_one ? 1 : 0);
  const int64_t again = s.recompute ? unit.num_layers - 1 : 0;
  if (whole > 0) {
    add_layers(s, s.tokens, {.count = whole, .again = again}, list);
  }
  if (reads_one) {
    add_layers(s, 1, {}, list);
  }
}

void add_outer_parts(const StepShape& s,
                     const UnitShape& unit,
                     Products& list) {
  const int64_t n = s.batch_size, d = s.width, e = s.condition_width;
  if (unit.has_stem || !unit.before.empty()) {
    list.push_back({.rows = n * s.patches,
                    .inner = s.patch_numbers,
                    .columns = d,
                    .derivatives = unit.has_stem ? 1 : 0});
  }
  if (s.denoises()) {
    list.push_back(
        {.rows = n, .inner = kSinusoids, .columns = e, .derivatives = 1});
    list.push_back({.rows = n, .inner = e, .columns = e});
    list.push_back({.rows = n, .inner = e, .columns = 2 * d});
  }
  list.push_back(
      {.rows = s.generates_images ? n * s.tokens : n,
       .inner = d,
       .columns = s.generates_images ? s.patch_numbers : s.num_classes});
}

/// Bytes that the optimiser's part of a step reads and writes per parameter.
double optimizer_bytes(const StepShape& s) {
  const double zero_and_norm = 2 * kFloat;
  // Weights are read and written, the gradient is read.
  const double adamw = s.format.moments == MomentFormat::kFp32
                           ? 7 * kFloat
                           : 3 * kFloat + 4 + 4 * kFloat / kMomentBlock;
  const double rounding =
      s.format.weights == WeightFormat::kFp32 ? 0 : 2.5 * kFloat;
  return zero_and_norm + adamw + rounding +
         3.0 * kFloat * static_cast<double>(s.format.averages);
}

double pass_bytes(StepShape s, const UnitShape& unit) {
  const int64_t num_passes =
      (s.batch_size + s.samples_at_once() - 1) / s.samples_at_once();
  const auto passes = static_cast<double>(num_passes);
  const bool recompute = s.recompute;
  s.recompute = false;
  const UnitPlan plan = plan_unit(s, unit);
  const auto kept =
      static_cast<double>(plan.activation_bytes + plan.head_bytes);
  const auto weights = static_cast<double>(plan.gradient_bytes);
  constexpr double kGradient = 4;  // made, read, its sum read and written
  return passes *
         ((4 + recompute) * kept + (2 + recompute + kGradient) * weights);
}

}  // namespace

double StepWork::forward_flops() const {
  double sum = 0;
  for (const Product& p : products) {
    sum += p.flops() * static_cast<double>(p.count);
  }
  return sum;
}

double StepWork::useful_flops() const {
  double sum = 0;
  for (const Product& p : products) {
    sum += p.flops() * static_cast<double>(p.count * (1 + p.derivatives));
  }
  return sum;
}

double StepWork::hardware_flops() const {
  double sum = 0;
  for (const Product& p : products) {
    sum += p.flops() * p.times();
  }
  return sum;
}

StepWork work_of(const StepShape& shape, const UnitShape& unit) {
  const UnitPlan plan = plan_unit(shape, unit);
  StepWork work{.pass_bytes = pass_bytes(shape, unit),
                .optimizer_bytes = optimizer_bytes(shape) *
                                   static_cast<double>(plan.num_parameters)};
  add_context(shape, unit, work.products);
  add_stack(shape, unit, work.products);
  add_outer_parts(shape, unit, work.products);
  return work;
}

double Roofline::seconds() const {
  return std::max(matmul_seconds, memory_seconds);
}

Roofline roofline_of(const StepWork& work,
                     double state_bytes,
                     const MachineRates& rates) {
  Roofline roofline{
      .matmul_seconds = work.hardware_flops() / rates.matmul_flops,
      .memory_seconds = work.moved_bytes() / rates.memory_bytes};
  if (rates.state_in_bytes > 0 && rates.state_out_bytes > 0) {
    roofline.move_seconds = state_bytes / rates.state_in_bytes +
                            state_bytes / rates.state_out_bytes;
  }
  return roofline;
}

}  // namespace dblocks::memory
