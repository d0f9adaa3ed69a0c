// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/state_arena.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <cstdint>
#include <utility>

#include "dblocks/core/log.h"
#include "dblocks/memory/page_file.h"
#include "dblocks/ops/cuda/plugin.h"

namespace dblocks::train {

StateArena::StateArena(size_t size)
    : memory_(
          at::empty({static_cast<int64_t>(size + memory::PageFile::kAlignment)},
                    at::kByte)) {
  auto* begin = memory_.mutable_data_ptr<uint8_t>();
  const size_t misfit =
      reinterpret_cast<uintptr_t>(begin) % memory::PageFile::kAlignment;
  begin += misfit == 0 ? 0 : memory::PageFile::kAlignment - misfit;
  bytes_ = {reinterpret_cast<std::byte*>(begin), size};
}

StateArena::StateArena(StateArena&& other) noexcept
    : memory_(std::move(other.memory_)),
      bytes_(std::exchange(other.bytes_, {})),
      is_pinned_(std::exchange(other.is_pinned_, false)) {}

StateArena::~StateArena() {
  if (is_pinned_) {
    ops::cuda::kernels()->unpin(bytes_.data());
  }
}

void StateArena::pin() {
  const char* error = ops::cuda::kernels()->pin(
      bytes_.data(), static_cast<int64_t>(bytes_.size()));
  is_pinned_ = error == nullptr;
  if (!is_pinned_) {
    log().warn(
        "[train] host memory cannot be pinned ({}): blocks move at a lower "
        "rate",
        error);
  }
}

at::Tensor as_storage(std::span<std::byte> bytes) {
  return at::from_blob(bytes.data(), {static_cast<int64_t>(bytes.size())},
                       at::kByte);
}

}  // namespace dblocks::train
