// SPDX-License-Identifier: Apache-2.0
// The states that lie on the device that trains: that of the resident unit and,
// where there is room for two, that of the next one, which comes in while the
// resident one trains. Below it are the pager's arenas in host memory and the
// pages on disk.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "dblocks/train/device_traffic.h"

namespace dblocks::train {

/// *Threads*: slots are reserved, found and released by one thread; a slot's
/// bytes are copied by whoever the slot was reserved for, at most one thread at
/// a time.
class DeviceTier {
 public:
  /// `num_slots` states of at most `slot_bytes` on `device`, which may be a
  /// CPU. *Errors*: those of LibTorch if the memory is not there.
  DeviceTier(at::Device device, size_t slot_bytes, int64_t num_slots);

  /// The slot that holds `unit`, or will once its copy is done.
  std::optional<int64_t> find(int64_t unit) const;

  /// Takes a slot for `unit` that no other unit has; none if all are taken.
  std::optional<int64_t> reserve(int64_t unit);
  void release(int64_t unit);
  /// Gives back what others than `unit` have.
  void release_others(int64_t unit);

  /// The first bytes of a slot. *Shapes*: result: [bytes] uint8.
  at::Tensor storage(int64_t slot, size_t bytes) const;

  /// Copies a state in or out, on a stream of its own, and waits for that.
  void copy_in(int64_t slot, std::span<std::byte> host);
  void copy_out(int64_t slot, std::span<std::byte> host);

  /// What has been copied so far. *Threads*: any.
  DeviceTraffic traffic_in() const;
  DeviceTraffic traffic_out() const;

 private:
  void copy(const at::Tensor& to,
            const at::Tensor& from,
            DeviceTraffic& traffic);
  void copy_in_pieces(const at::Tensor& to, const at::Tensor& from);

  struct Slot {
    at::Tensor memory;
    int64_t unit = -1;
  };
  std::vector<Slot> slots_;
  at::Device device_;
  std::optional<c10::Stream> stream_;  // of copies; none on a CPU
  mutable std::mutex mutex_;           // guards what follows
  DeviceTraffic in_, out_;
};

/// Waits until the work that this thread has given to `device` is done; states
/// may go on moving.
void synchronize(at::Device device);

}  // namespace dblocks::train
