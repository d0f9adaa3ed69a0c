// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/order.h"

#include <numeric>
#include <utility>

#include "dblocks/core/error.h"
#include "dblocks/core/random.h"

namespace dblocks::data {

std::vector<uint32_t> epoch_order(uint64_t seed, int64_t epoch, int64_t size) {
  DBLOCKS_CHECK(size >= 0 && size <= int64_t{UINT32_MAX}, ConfigError,
                "[epoch_order] expected at most 2^32 - 1 samples, found {}",
                size);
  std::vector<uint32_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0u);
  RandomStream stream(seed, RandomPurpose::kEpochOrder,
                      static_cast<uint64_t>(epoch), 0);
  for (size_t left = order.size(); left > 1; --left) {
    std::swap(order[left - 1], order[stream.next_below(left)]);
  }
  return order;
}

BatchOrder::BatchOrder(int64_t size, const BatchOrderOptions& options)
    : size_(size), options_(options) {
  DBLOCKS_CHECK(options.batch_size >= 1 && options.batch_size <= size,
                ConfigError,
                "[data] expected a batch size of 1 to {} (the samples there "
                "are), found {}: data.batch_size",
                size, options.batch_size);
  if (!options_.shuffle) {
    order_.resize(static_cast<size_t>(size));
    std::iota(order_.begin(), order_.end(), 0u);
  }
}

std::span<const uint32_t> BatchOrder::batch_samples(int64_t step) {
  DBLOCKS_ASSERT(step >= 0, "step {}", step);
  const int64_t wanted = epoch(step);
  if (options_.shuffle && wanted != held_epoch_) {
    order_ = epoch_order(options_.seed, wanted, size_);
    held_epoch_ = wanted;
  }
  const int64_t first = (step % batches_per_epoch()) * options_.batch_size;
  return std::span(order_).subspan(static_cast<size_t>(first),
                                   static_cast<size_t>(options_.batch_size));
}

}  // namespace dblocks::data
