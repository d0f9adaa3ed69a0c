// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/Stream.h>

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "dblocks/data/loader.h"
#include "dblocks/train/device_batch.h"

namespace dblocks::train {

/// Runs one piece of work after another on a thread of its own, which starting
/// them costs next to nothing.
class Helper {
 public:
  Helper() : thread_([this] { work(); }) {}
  /// Finishes what has been started.
  ~Helper();
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;

  /// Starts `work` once all before it is done. The result says when, and
  /// throws what `work` has thrown.
  std::future<void> start(std::function<void()> work);

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::packaged_task<void()>> waiting_;
  bool is_stopping_ = false;
  std::thread thread_;  // last: it uses the others
};

/// A loader's batches where training needs them: on a CPU the loader's own
/// memory, on another device copies, of which the next one is made while the
/// current one is trained on.
///
/// *Threads*: next() and rest() from one thread.
class DeviceBatches {
 public:
  struct Item {
    const data::Batch* host;
    tasks::LabelledBatch tensors;
  };

  /// Batches of steps first_step, first_step + 1, ... `copies_ahead` is for
  /// devices other than the CPU, where it has to be set. *Errors*: as Loader.
  DeviceBatches(const data::Dataset& dataset,
                const data::LoaderOptions& options,
                int64_t first_step,
                at::Device device,
                bool copies_ahead);
  DeviceBatches(const DeviceBatches&) = delete;
  DeviceBatches& operator=(const DeviceBatches&) = delete;

  /// The next step's batch, valid until the following call. Requires: all work
  /// on the batch before the current one is done. *Errors*: as Loader.
  Item next();

  /// Gives back what lies on the device; next() goes on where it was.
  void rest();

  /// Seconds that next() has spent waiting for batches in all.
  double wait_seconds() const { return wait_seconds_; }

 private:
  struct Slot {
    data::Batch host;
    at::Tensor images, labels;  // of a full batch; undefined at rest
  };

  /// That of the batch which is taken next.
  Slot& slot() { return slots_[static_cast<size_t>(num_taken_ % 2)]; }
  void fetch_ahead();
  void allocate(Slot& slot) const;
  void send(const Slot& slot) const;

  data::Loader loader_;
  const data::DatasetInfo& info_;
  int64_t batch_size_;
  at::Device device_;
  bool copies_ahead_;
  std::optional<c10::Stream> stream_;  // of copies; none on a CPU
  std::array<Slot, 2> slots_;
  int64_t num_taken_ = 0;
  double wait_seconds_ = 0;
  std::future<void> ahead_;
  std::optional<Helper> helper_;  // last: ends before what it fills does
};

}  // namespace dblocks::train
