// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/device_tier.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>

namespace dblocks::train {
namespace {

// Copies of a few numbers, which steps wait for, get in between two pieces:
// larger ones move states faster and steps slower, in all slower.
constexpr int64_t kPieceBytes = int64_t{8} << 20;
constexpr size_t kPiecesUnderWay = 2;

at::Tensor as_tensor(std::span<std::byte> bytes) {
  return at::from_blob(bytes.data(), {static_cast<int64_t>(bytes.size())},
                       at::kByte);
}

}  // namespace

DeviceTier::DeviceTier(at::Device device, size_t slot_bytes, int64_t num_slots)
    : device_(device) {
  for (int64_t i = 0; i < num_slots; ++i) {
    slots_.push_back({at::empty({static_cast<int64_t>(slot_bytes)},
                                at::TensorOptions(at::kByte).device(device))});
  }
  if (!device.is_cpu()) {
    const c10::impl::VirtualGuardImpl guard(device.type());
    stream_ = guard.getStreamFromGlobalPool(device);
  }
}

std::optional<int64_t> DeviceTier::find(int64_t unit) const {
  const auto found = std::ranges::find(slots_, unit, &Slot::unit);
  return found == slots_.end() ? std::nullopt
                               : std::optional(found - slots_.begin());
}

std::optional<int64_t> DeviceTier::reserve(int64_t unit) {
  const std::optional<int64_t> free = find(-1);
  if (free) {
    slots_[static_cast<size_t>(*free)].unit = unit;
  }
  return free;
}

void DeviceTier::release(int64_t unit) {
  if (const std::optional<int64_t> slot = find(unit)) {
    slots_[static_cast<size_t>(*slot)].unit = -1;
  }
}

void DeviceTier::release_others(int64_t unit) {
  for (Slot& slot : slots_) {
    slot.unit = slot.unit == unit ? unit : -1;
  }
}

at::Tensor DeviceTier::storage(int64_t slot, size_t bytes) const {
  return slots_[static_cast<size_t>(slot)].memory.narrow(
      0, 0, static_cast<int64_t>(bytes));
}

void DeviceTier::copy_in(int64_t slot, std::span<std::byte> host) {
  copy(storage(slot, host.size()), as_tensor(host), in_);
}

void DeviceTier::copy_out(int64_t slot, std::span<std::byte> host) {
  copy(as_tensor(host), storage(slot, host.size()), out_);
}

DeviceTraffic DeviceTier::traffic_in() const {
  const std::scoped_lock lock(mutex_);
  return in_;
}

DeviceTraffic DeviceTier::traffic_out() const {
  const std::scoped_lock lock(mutex_);
  return out_;
}

void DeviceTier::copy(const at::Tensor& to,
                      const at::Tensor& from,
                      DeviceTraffic& traffic) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  if (!stream_) {
    to.copy_(from);
  } else {
    copy_in_pieces(to, from);
  }
  const std::scoped_lock lock(mutex_);
  ++traffic.num_states;
  traffic.bytes += static_cast<uint64_t>(to.numel());
  traffic.seconds +=
      std::chrono::duration<double>(Clock::now() - start).count();
}

void DeviceTier::copy_in_pieces(const at::Tensor& to, const at::Tensor& from) {
  const c10::impl::VirtualGuardImpl guard(device_.type());
  const c10::Stream outer = guard.exchangeStream(*stream_);
  std::vector<c10::Event> done;
  for (size_t i = 0; i < kPiecesUnderWay; ++i) {
    done.emplace_back(device_.type());
  }
  size_t piece = 0;
  for (int64_t first = 0; first < to.numel(); first += kPieceBytes) {
    c10::Event& event = done[piece++ % done.size()];
    event.synchronize();
    const int64_t count = std::min(kPieceBytes, to.numel() - first);
    to.narrow(0, first, count)
        .copy_(from.narrow(0, first, count), /*non_blocking=*/true);
    event.record(*stream_);
  }
  guard.exchangeStream(outer);
  guard.synchronizeStream(*stream_);
}

void synchronize(at::Device device) {
  if (!device.is_cpu()) {
    const c10::impl::VirtualGuardImpl guard(device.type());
    guard.synchronizeStream(guard.getStream(device));
  }
}

}  // namespace dblocks::train
