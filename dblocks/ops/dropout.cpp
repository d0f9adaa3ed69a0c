// SPDX-License-Identifier: Apache-2.0
#include "dblocks/ops/dropout.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <mutex>

#include "dblocks/core/batch_part.h"
#include "dblocks/ops/dropout_kernel.h"

namespace dblocks::ops {
namespace {

using internal::DropoutRule;
using internal::kDropoutGroup;

constexpr int64_t kGrainGroups = 512;

uint64_t draw_key() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
}

/// `place`: of x's first element in the whole batch.
template <class Element>
at::Tensor apply_rule(const DropoutRule& rule,
                      int64_t place,
                      const at::Tensor& x) {
  const at::Tensor dense = x.contiguous();
  at::Tensor y = at::empty_like(dense);
  const auto* in = static_cast<const Element*>(dense.const_data_ptr());
  auto* out = static_cast<Element*>(y.mutable_data_ptr());
  const int64_t count = dense.numel();
  const int64_t groups = (count + kDropoutGroup - 1) / kDropoutGroup;
  at::parallel_for(0, groups, kGrainGroups, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kDropoutGroup;
    internal::drop(rule, place + first,
                   std::min(end * kDropoutGroup, count) - first, in + first,
                   out + first);
  });
  return y;
}

at::Tensor drop(const DropoutRule& rule, int64_t place, const at::Tensor& x) {
  return x.scalar_type() == at::kFloat ? apply_rule<float>(rule, place, x)
                                       : apply_rule<uint16_t>(rule, place, x);
}

/// Where in the whole batch a tensor of the present part starts, in elements.
int64_t place_of(const at::Tensor& x) {
  const BatchPart part = current_batch_part();
  return part.count > 0 ? x.numel() / part.count * part.first : 0;
}

DropoutRule rule_of(int64_t key, double p) {
  return {.key = static_cast<uint64_t>(key),
          .threshold = static_cast<uint32_t>(p * 4294967296.0),
          .scale = static_cast<float>(1 / (1 - p))};
}

class Dropout : public torch::autograd::Function<Dropout> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context,
                            const at::Tensor& x,
                            int64_t key,
                            double p) {
    const int64_t place = place_of(x);
    context->saved_data["key"] = key;
    context->saved_data["p"] = p;
    context->saved_data["place"] = place;
    return drop(rule_of(key, p), place, x);
  }

  static torch::autograd::tensor_list backward(
      torch::autograd::AutogradContext* context,
      const torch::autograd::tensor_list& gradients) {
    const DropoutRule rule = rule_of(context->saved_data["key"].toInt(),
                                     context->saved_data["p"].toDouble());
    const int64_t place = context->saved_data["place"].toInt();
    return {drop(rule, place, gradients[0]), {}, {}};
  }
};

}  // namespace

at::Tensor dropout_composed(const at::Tensor& x, double p) {
  return at::dropout(x, p, true);
}

at::Tensor dropout(const at::Tensor& x, double p) {
  const bool has_kernel = x.is_cpu() && (x.scalar_type() == at::kFloat ||
                                         x.scalar_type() == at::kBFloat16);
  if (!has_kernel) {
    return dropout_composed(x, p);
  }
  return Dropout::apply(x, static_cast<int64_t>(draw_key()), p);
}

}  // namespace dblocks::ops
