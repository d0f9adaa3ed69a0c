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
#include "dblocks/core/error.h"
#include "dblocks/ops/cuda/plugin.h"
#include "dblocks/ops/dropout_kernel.h"

namespace dblocks::ops {
namespace {

using internal::DropoutRule;
using internal::kDropoutGroup;

constexpr int64_t kGrainGroups = 512;

// Of this thread; see StoredDropoutKeys.
thread_local at::Tensor stored_keys;
thread_local int64_t num_stored_keys = 0;

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

at::Tensor drop_on_cuda(const DropoutRule& rule,
                        const uint64_t* stored_key,
                        int64_t place,
                        const at::Tensor& x) {
  const at::Tensor dense = x.contiguous();
  at::Tensor y = at::empty_like(dense);
  cuda::check(cuda::kernels()->drop(
      {rule.key, stored_key, rule.threshold, rule.scale}, place,
      cuda::element_of(dense), dense.numel(), dense.const_data_ptr(),
      y.mutable_data_ptr(), cuda::current_stream(dense.device())));
  return y;
}

/// `stored_key`: where on a CUDA device the key is, or null.
at::Tensor drop(const DropoutRule& rule,
                const uint64_t* stored_key,
                int64_t place,
                const at::Tensor& x) {
  if (x.is_cuda()) {
    return drop_on_cuda(rule, stored_key, place, x);
  }
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
                            int64_t stored_key,
                            double p) {
    const int64_t place = place_of(x);
    context->saved_data["key"] = key;
    context->saved_data["stored_key"] = stored_key;
    context->saved_data["p"] = p;
    context->saved_data["place"] = place;
    return drop(rule_of(key, p), as_key(stored_key), place, x);
  }

  static torch::autograd::tensor_list backward(
      torch::autograd::AutogradContext* context,
      const torch::autograd::tensor_list& gradients) {
    const DropoutRule rule = rule_of(context->saved_data["key"].toInt(),
                                     context->saved_data["p"].toDouble());
    const int64_t place = context->saved_data["place"].toInt();
    const int64_t stored_key = context->saved_data["stored_key"].toInt();
    return {drop(rule, as_key(stored_key), place, gradients[0]), {}, {}, {}};
  }

 private:
  /// An address, as the saved data of a graph's node hold it.
  static const uint64_t* as_key(int64_t address) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    return reinterpret_cast<const uint64_t*>(static_cast<intptr_t>(address));
  }
};

}  // namespace

uint64_t draw_dropout_key() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
}

at::Tensor dropout_composed(const at::Tensor& x, double p) {
  return at::dropout(x, p, true);
}

at::Tensor dropout(const at::Tensor& x, double p) {
  const bool is_known_type =
      x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16;
  const bool has_kernel =
      is_known_type &&
      (x.is_cpu() || (x.is_cuda() && cuda::kernels() != nullptr));
  if (!has_kernel) {
    return dropout_composed(x, p);
  }
  int64_t stored_key = 0;
  if (stored_keys.defined() && x.is_cuda()) {
    DBLOCKS_ASSERT(num_stored_keys < stored_keys.numel(),
                   "more than {} calls of dropout in a step",
                   stored_keys.numel());
    stored_key = static_cast<int64_t>(reinterpret_cast<intptr_t>(
        stored_keys.data_ptr<int64_t>() + num_stored_keys++));
  }
  return Dropout::apply(x, static_cast<int64_t>(draw_dropout_key()), stored_key,
                        p);
}

StoredDropoutKeys::StoredDropoutKeys(const at::Tensor& keys) {
  stored_keys = keys;
  num_stored_keys = 0;
}

StoredDropoutKeys::~StoredDropoutKeys() {
  stored_keys = at::Tensor();
}

int64_t StoredDropoutKeys::num_used() const {
  return num_stored_keys;
}

}  // namespace dblocks::ops
