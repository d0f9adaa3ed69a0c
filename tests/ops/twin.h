// SPDX-License-Identifier: Apache-2.0
// Compares an operation with its readable twin: values, and every gradient.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <vector>

namespace dblocks::ops::testing {

using Operation =
    std::function<at::Tensor(const std::vector<at::Tensor>& inputs)>;

/// Largest difference over the largest entry.
inline double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.to(at::kDouble), y = b.to(at::kDouble);
  return (x - y).abs().max().item<double>() /
         (y.abs().max().item<double>() + 1e-30);
}

/// Leaves that require gradients, equal in value to `tensors`.
inline std::vector<at::Tensor> leaves(const std::vector<at::Tensor>& tensors,
                                      at::ScalarType type) {
  std::vector<at::Tensor> result;
  result.reserve(tensors.size());
  for (const at::Tensor& t : tensors) {
    result.push_back(t.detach().to(type).clone().requires_grad_());
  }
  return result;
}

/// Expects `fast` in float32 to agree with `twin` in float64.
inline void expect_same(const Operation& fast,
                        const Operation& twin,
                        const std::vector<at::Tensor>& inputs,
                        const at::Tensor& upstream,
                        double tolerance) {
  const auto ours = leaves(inputs, at::kFloat);
  const auto theirs = leaves(inputs, at::kDouble);
  const at::Tensor value = fast(ours), expected = twin(theirs);
  EXPECT_LT(relative_difference(value, expected), tolerance);
  const auto gradients =
      torch::autograd::grad({value}, ours, {upstream.to(value.scalar_type())});
  const auto wanted =
      torch::autograd::grad({expected}, theirs, {upstream.to(at::kDouble)});
  for (size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_LT(relative_difference(gradients[i], wanted[i]), tolerance)
        << "gradient of input " << i;
  }
}

}  // namespace dblocks::ops::testing
