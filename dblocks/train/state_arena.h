// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <span>

namespace dblocks::train {

/// Host memory for one state, from LibTorch so that the meter counts it,
/// aligned as page files want it.
class StateArena {
 public:
  explicit StateArena(size_t size);
  StateArena(StateArena&& other) noexcept;
  StateArena& operator=(StateArena&&) = delete;
  ~StateArena();

  std::span<std::byte> bytes() const { return bytes_; }

  /// Copies to and from a CUDA device then overlap with its work. Memory that
  /// cannot be pinned is a warning. Requires: our kernels, a size above 0.
  void pin();

 private:
  at::Tensor memory_;
  std::span<std::byte> bytes_;
  bool is_pinned_ = false;
};

/// The same bytes as a tensor. They must outlive it.
at::Tensor as_storage(std::span<std::byte> bytes);

}  // namespace dblocks::train
