// SPDX-License-Identifier: Apache-2.0
// A ring of slots, one batch each. Step s lives in slot s % num_slots. Workers
// take steps in order, as soon as the step that used the slot before has been
// consumed; the consumer waits for its step's slot. Order and content therefore
// never depend on which worker was fast.
#include "dblocks/data/loader.h"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "dblocks/core/error.h"
#include "dblocks/data/batch_maker.h"

namespace dblocks::data {
namespace {

constexpr int64_t kMaxWorkers = 256;
constexpr int64_t kMaxPrefetch = 1024;

struct Slot {
  Batch batch;
  bool is_ready = false;
  std::exception_ptr error;
};

}  // namespace

class Loader::Ring {
 public:
  Ring(const Dataset& dataset, const LoaderOptions& options, int64_t first_step)
      : maker_(dataset, options),
        slots_(static_cast<size_t>(options.prefetch + 1)),
        next_step_(first_step),
        next_claim_(first_step) {}

  ~Ring() {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    slot_is_free_.notify_all();
    for (std::thread& worker : workers_) {
      worker.join();
    }
  }

  // Apart from the constructor: if a thread cannot be started, the destructor
  // ends those that were.
  void start_workers(int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      workers_.emplace_back([this, maker = maker_]() mutable { work(maker); });
    }
  }

  const Batch& next() {
    const auto start = std::chrono::steady_clock::now();
    const Batch& batch = workers_.empty() ? make_here() : wait_for_worker();
    wait_seconds_ +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
            .count();
    return batch;
  }

  double wait_seconds() const { return wait_seconds_; }
  int64_t batches_per_epoch() const { return maker_.batches_per_epoch(); }

 private:
  Slot& slot(int64_t step) {
    return slots_[static_cast<size_t>(step) % slots_.size()];
  }

  const Batch& make_here() {
    Batch& batch = slot(0).batch;
    maker_.make(next_step_, batch);
    ++next_step_;
    return batch;
  }

  const Batch& wait_for_worker() {
    std::unique_lock lock(mutex_);
    release_previous();
    Slot& wanted = slot(next_step_);
    slot_is_ready_.wait(lock, [&] { return wanted.is_ready; });
    if (wanted.error) {
      std::rethrow_exception(wanted.error);
    }
    ++next_step_;
    has_batch_out_ = true;
    return wanted.batch;
  }

  // Hands the slot of the batch that the caller has finished with to workers.
  void release_previous() {
    if (has_batch_out_) {
      has_batch_out_ = false;
      slot(next_step_ - 1).is_ready = false;
      slot_is_free_.notify_one();
    }
  }

  // The lowest step whose slot must be left alone.
  int64_t oldest_held() const {
    return has_batch_out_ ? next_step_ - 1 : next_step_;
  }

  bool has_room() const {
    return next_claim_ < oldest_held() + static_cast<int64_t>(slots_.size());
  }

  void work(BatchMaker& maker) {
    std::unique_lock lock(mutex_);
    while (true) {
      slot_is_free_.wait(lock, [&] { return is_stopping_ || has_room(); });
      if (is_stopping_) {
        return;
      }
      const int64_t step = next_claim_++;
      Slot& mine = slot(step);
      lock.unlock();
      std::exception_ptr error;
      try {
        maker.make(step, mine.batch);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      mine.error = error;
      mine.is_ready = true;
      slot_is_ready_.notify_one();
    }
  }

  BatchMaker maker_;
  std::vector<Slot> slots_;
  double wait_seconds_ = 0;

  std::mutex mutex_;  // guards all below, and of the slots all but the batches
  std::condition_variable slot_is_free_;
  std::condition_variable slot_is_ready_;
  int64_t next_step_;   // what next() returns next
  int64_t next_claim_;  // what a worker prepares next
  bool has_batch_out_ = false;
  bool is_stopping_ = false;
  std::vector<std::thread> workers_;
};

Loader::Loader(const Dataset& dataset,
               const LoaderOptions& options,
               int64_t first_step) {
  DBLOCKS_CHECK(options.workers >= 0 && options.workers <= kMaxWorkers,
                ConfigError, "[data] expected 0 to {}, found {}: data.workers",
                kMaxWorkers, options.workers);
  DBLOCKS_CHECK(options.prefetch >= 1 && options.prefetch <= kMaxPrefetch,
                ConfigError, "[data] expected 1 to {}, found {}: data.prefetch",
                kMaxPrefetch, options.prefetch);
  DBLOCKS_ASSERT(first_step >= 0, "first step {}", first_step);
  ring_ = std::make_unique<Ring>(dataset, options, first_step);
  ring_->start_workers(options.workers);
}

Loader::~Loader() = default;

const Batch& Loader::next() {
  return ring_->next();
}

double Loader::wait_seconds() const {
  return ring_->wait_seconds();
}

int64_t Loader::batches_per_epoch() const {
  return ring_->batches_per_epoch();
}

}  // namespace dblocks::data
