// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/bridge.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/matmul.h>

namespace dblocks::tasks {
namespace {

at::Tensor unit_rows(const at::Tensor& x) {
  return x / at::linalg_vector_norm(x, 2, {-1}, true);
}

}  // namespace

at::Tensor clean_targets(const at::Tensor& table, const at::Tensor& labels) {
  return unit_rows(at::index_select(table, 0, labels));
}

at::Tensor bridge(const at::Tensor& probabilities,
                  const at::Tensor& table,
                  const ClassificationOptions& options) {
  const at::Tensor rows =
      options.normalised_bridge_table ? unit_rows(table) : table;
  switch (options.bridge) {
    case Bridge::kSoft:
      return at::matmul(probabilities, rows);
    case Bridge::kHard:
      return at::index_select(rows, 0, probabilities.argmax(-1));
    case Bridge::kRenormalised:
      return unit_rows(at::matmul(probabilities, rows));
  }
  return {};
}

}  // namespace dblocks::tasks
