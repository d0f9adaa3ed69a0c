// SPDX-License-Identifier: Apache-2.0
#include "dblocks/nn/init.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "dblocks/core/random.h"

namespace dblocks::nn {
namespace {

// FNV-1a, 32 bits: spreads names over the streams of one seed.
uint32_t hash_name(const std::string& name) {
  uint32_t hash = 2166136261u;
  for (const unsigned char c : name) {
    hash = (hash ^ c) * 16777619u;
  }
  return hash;
}

thread_local bool makes_placeholders = false;

/// With strides of 0 all elements are the same number in memory.
at::Tensor placeholder(at::IntArrayRef sizes, at::Device device) {
  at::Tensor tensor =
      at::empty_strided(sizes, std::vector<int64_t>(sizes.size(), 0),
                        at::TensorOptions(at::kFloat).device(device));
  tensor.as_strided({1}, {1}).zero_();
  return tensor;
}

/// Replaces a placeholder, fills anything else.
void set_values(const at::Tensor& tensor, const at::Tensor& values) {
  if (tensor.is_contiguous()) {
    at::Tensor(tensor).copy_(values);
  } else {
    at::Tensor(tensor).set_data(values);
  }
}

}  // namespace

PlaceholderGuard::PlaceholderGuard()
    : was_active_(std::exchange(makes_placeholders, true)) {}

PlaceholderGuard::~PlaceholderGuard() {
  makes_placeholders = was_active_;
}

bool PlaceholderGuard::is_active() {
  return makes_placeholders;
}

at::Tensor initial_zeros(at::IntArrayRef sizes) {
  return makes_placeholders ? placeholder(sizes, at::kCPU) : at::zeros(sizes);
}

void move_placeholder(const at::Tensor& tensor, at::Device device) {
  const bool is_placeholder =
      tensor.numel() > 1 &&
      std::ranges::all_of(tensor.strides(), [](int64_t s) { return s == 0; });
  if (is_placeholder && tensor.device() != device) {
    at::Tensor(tensor).set_data(placeholder(tensor.sizes(), device));
  }
}

void fill_normal(const at::Tensor& tensor,
                 double std,
                 uint64_t seed,
                 const std::string& name) {
  c10::NoGradGuard no_grad;
  at::Tensor host = at::empty(tensor.sizes(), at::kFloat);
  RandomStream stream(seed, RandomPurpose::kInitialWeights, hash_name(name),
                      name.size());
  stream.fill_normal(
      {host.mutable_data_ptr<float>(), static_cast<size_t>(host.numel())});
  set_values(tensor, host.mul_(std));
}

void fill_xavier_uniform(const at::Tensor& weight,
                         uint64_t seed,
                         const std::string& name) {
  c10::NoGradGuard no_grad;
  at::Tensor host = at::empty(weight.sizes(), at::kFloat);
  const int64_t out = weight.size(0), in = weight.numel() / out;
  const double bound = std::sqrt(6.0 / static_cast<double>(in + out));
  RandomStream stream(seed, RandomPurpose::kInitialWeights, hash_name(name),
                      name.size());
  float* values = host.mutable_data_ptr<float>();
  for (int64_t i = 0; i < host.numel(); ++i) {
    values[i] = static_cast<float>((2 * stream.next_uniform() - 1) * bound);
  }
  set_values(weight, host);
}

void normalise_rows(const at::Tensor& table) {
  c10::NoGradGuard no_grad;
  at::Tensor(table).div_(at::linalg_vector_norm(table, 2, {-1}, true));
}

void orthonormalise_rows(const at::Tensor& table) {
  c10::NoGradGuard no_grad;
  if (table.size(0) > table.size(1)) {
    normalise_rows(table);
    return;
  }
  at::Tensor rows = table.to(at::kDouble);
  for (int64_t i = 0; i < rows.size(0); ++i) {
    at::Tensor row = rows[i];
    for (int64_t j = 0; j < i; ++j) {
      row.sub_(rows[j] * rows[j].dot(row));
    }
    row.div_(row.norm());
  }
  at::Tensor(table).copy_(rows);
}

}  // namespace dblocks::nn
