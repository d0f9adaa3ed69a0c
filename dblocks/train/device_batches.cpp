// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/device_batches.h"

#include <ATen/ops/empty.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <chrono>
#include <utility>

namespace dblocks::train {

Helper::~Helper() {
  {
    const std::scoped_lock lock(mutex_);
    is_stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

std::future<void> Helper::start(std::function<void()> work) {
  std::packaged_task<void()> task(std::move(work));
  std::future<void> done = task.get_future();
  {
    const std::scoped_lock lock(mutex_);
    waiting_.push_back(std::move(task));
  }
  wake_.notify_one();
  return done;
}

void Helper::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return is_stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) {
      return;
    }
    std::packaged_task<void()> task = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    task();
    lock.lock();
  }
}

DeviceBatches::DeviceBatches(const data::Dataset& dataset,
                             const data::LoaderOptions& options,
                             int64_t first_step,
                             at::Device device,
                             bool copies_ahead)
    : loader_(dataset, options, first_step),
      info_(dataset.info()),
      batch_size_(options.batch_size),
      device_(device),
      copies_ahead_(copies_ahead) {
  if (copies_ahead) {
    helper_.emplace();
  }
  if (!device.is_cpu()) {
    const c10::impl::VirtualGuardImpl guard(device.type());
    stream_ = guard.getStreamFromGlobalPool(device);
  }
}

DeviceBatches::Item DeviceBatches::next() {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  Item item{};
  if (!copies_ahead_) {
    item.host = &loader_.next();
    item.tensors = to_device(*item.host, info_, device_);
  } else {
    if (!ahead_.valid()) {
      fetch_ahead();
    }
    ahead_.get();
    Slot& current = slot();
    if (!current.images.defined()) {
      allocate(current);
      send(current);
    }
    const int64_t count = current.host.num_samples;
    item = {&current.host,
            {current.images.narrow(0, 0, count),
             current.labels.narrow(0, 0, count)}};
    ++num_taken_;
    fetch_ahead();
  }
  wait_seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
  return item;
}

void DeviceBatches::rest() {
  if (ahead_.valid()) {
    ahead_.wait();
  }
  for (Slot& slot : slots_) {
    slot.images.reset();
    slot.labels.reset();
  }
}

void DeviceBatches::fetch_ahead() {
  Slot& next = slot();
  if (!next.images.defined()) {
    allocate(next);
  }
  ahead_ = helper_->start([this, &next] {
    next.host = loader_.next();
    send(next);
  });
}

/// By the thread that trains: memory that LibTorch gives anew may still be used
/// by work that was started before.
void DeviceBatches::allocate(Slot& slot) const {
  slot.images =
      at::empty({batch_size_, info_.channels, info_.rows, info_.columns},
                at::TensorOptions(at::kFloat).device(device_));
  slot.labels =
      at::empty({batch_size_}, at::TensorOptions(at::kLong).device(device_));
  if (stream_) {
    // Not the whole device: states may be on their way.
    const c10::impl::VirtualGuardImpl guard(device_.type());
    guard.synchronizeStream(guard.getStream(device_));
  }
}

void DeviceBatches::send(const Slot& slot) const {
  const tasks::LabelledBatch host = to_device(slot.host, info_, at::kCPU);
  const int64_t count = slot.host.num_samples;
  std::optional<c10::Stream> outer;
  const c10::impl::VirtualGuardImpl guard(device_.type());
  if (stream_) {
    outer = guard.exchangeStream(*stream_);
  }
  slot.images.narrow(0, 0, count).copy_(host.images);
  slot.labels.narrow(0, 0, count).copy_(host.labels);
  if (stream_) {
    guard.exchangeStream(*outer);
    guard.synchronizeStream(*stream_);
  }
}

}  // namespace dblocks::train
