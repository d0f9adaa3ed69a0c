// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/pager.h"

#include <signal.h>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "dblocks/core/log.h"

namespace dblocks::memory {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Signals are for the program's own threads. Blocking SIGXFSZ also turns a
/// write beyond the file size limit into an error.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

double PagerStats::hidden_share() const {
  return busy_seconds > 0
             ? std::clamp(1 - wait_seconds / busy_seconds, 0.0, 1.0)
             : 1;
}

Pager::Pager(PagerOptions options)
    : state_bytes_(std::move(options.state_bytes)),
      patience_(options.patience) {
  DBLOCKS_ASSERT(
      !options.arenas.empty() && options.files.size() == state_bytes_.size(),
      "a pager needs an arena, and a file per unit");
  for (const std::span<std::byte> bytes : options.arenas) {
    arenas_.emplace_back().bytes = bytes;
  }
  for (std::filesystem::path& file : options.files) {
    pages_.emplace_back(std::move(file));
  }
  thread_ = std::thread([this] { work(); });
}

Pager::~Pager() {
  {
    const std::scoped_lock lock(mutex_);
    is_stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

size_t Pager::enter(int64_t unit, const Fill& fill) {
  std::unique_lock lock(mutex_);
  throw_failure();
  Arena* arena = find(unit);
  if (arena == nullptr) {
    arena = bring_in(unit, fill, /*may_drop_prefetched=*/true);
  }
  DBLOCKS_ASSERT(arena != nullptr, "leave the unit at hand first");
  wait(lock, [&] { return arena->num_jobs == 0; });
  if (arena->damage) {
    arena->unit = -1;
    pages_[unit].forget();
    std::rethrow_exception(std::exchange(arena->damage, nullptr));
  }
  throw_failure();
  arena->is_entered = true;
  return static_cast<size_t>(arena - arenas_.data());
}

void Pager::leave(int64_t unit, Use use, std::function<void()> task) {
  const std::scoped_lock lock(mutex_);
  Arena* arena = find(unit);
  DBLOCKS_ASSERT(arena != nullptr && arena->is_entered, "no such unit inside");
  arena->is_entered = false;
  if (use == Use::kFinished || use == Use::kSpoiled) {
    arena->is_dirty = false;
    pages_[unit].forget();
    arena->unit = use == Use::kSpoiled ? -1 : unit;
  } else {
    arena->is_dirty |= use == Use::kChanged;
  }
  arena->left_at = ++clock_;
  if (task) {
    push(*arena, fmt::format("the checkpoint of block {}", unit),
         std::move(task));
  }
}

bool Pager::prefetch(
    int64_t unit,
    const Fill& fill,
    const std::function<void(std::span<std::byte> arena)>& arrived) {
  const std::scoped_lock lock(mutex_);
  if (failure_) {
    return false;
  }
  Arena* arena = find(unit);
  if (arena == nullptr) {
    arena = bring_in(unit, fill, /*may_drop_prefetched=*/false);
  }
  if (arena != nullptr && arrived) {
    push(*arena, fmt::format("block {} to reach the device", unit),
         [this, arena, arrived] {
           {
             const std::scoped_lock damage_lock(mutex_);
             if (arena->damage) {
               return;
             }
           }
           arrived(arena->bytes);
         });
  }
  return arena != nullptr;
}

void Pager::drain() {
  std::unique_lock lock(mutex_);
  wait(lock, [&] { return jobs_.empty(); });
  throw_failure();
}

/// Waits for the pager's thread. Storage may hang for as long as it likes: what
/// waits says so, and goes on when it comes back.
void Pager::wait(std::unique_lock<std::mutex>& lock,
                 const std::function<bool()>& is_done) {
  const Clock::time_point start = Clock::now();
  while (!done_.wait_for(lock, patience_, is_done)) {
    log().warn("[pager] training has waited {:.0f} s for {}; {} more to do",
               seconds_since(start), jobs_.front().what, jobs_.size() - 1);
  }
  stats_.wait_seconds += seconds_since(start);
}

PagerStats Pager::stats() const {
  const std::scoped_lock lock(mutex_);
  return stats_;
}

Pager::Arena* Pager::find(int64_t unit) {
  const auto found = std::ranges::find(arenas_, unit, &Arena::unit);
  return found == arenas_.end() ? nullptr : &*found;
}

/// An empty arena, else the one left last: where blocks take turns, its unit is
/// the one that will be needed latest.
Pager::Arena* Pager::victim(bool may_drop_prefetched) {
  Arena* best = nullptr;
  for (Arena& arena : arenas_) {
    if (arena.unit < 0) {
      return &arena;
    }
    const bool is_prefetched = arena.left_at == 0;
    if (!arena.is_entered && (may_drop_prefetched || !is_prefetched) &&
        (best == nullptr || arena.left_at > best->left_at)) {
      best = &arena;
    }
  }
  return best;
}

Pager::Arena* Pager::bring_in(int64_t unit,
                              const Fill& fill,
                              bool may_drop_prefetched) {
  Arena* arena = victim(may_drop_prefetched);
  if (arena == nullptr) {
    return nullptr;
  }
  const int64_t old_unit = arena->is_dirty ? arena->unit : -1;
  arena->unit = unit;
  arena->is_dirty = false;
  arena->left_at = 0;
  std::string what = fmt::format("{}", pages_[unit].path().string());
  if (old_unit >= 0) {
    what = fmt::format("{} and {}", pages_[old_unit].path().string(), what);
  }
  push(*arena, std::move(what), [this, arena, old_unit, unit, fill] {
    swap(*arena, old_unit, unit, fill);
  });
  return arena;
}

void Pager::swap(Arena& arena,
                 int64_t old_unit,
                 int64_t unit,
                 const Fill& fill) {
  const bool is_exchange = old_unit >= 0 && pages_[unit].has_content();
  if (old_unit >= 0 && !is_exchange) {
    write_out(arena, old_unit);
  }
  try {
    if (is_exchange) {
      exchange(arena, old_unit, unit);
    } else {
      read_in(arena, unit, fill);
    }
  } catch (const PageError&) {
    const std::scoped_lock lock(mutex_);
    arena.damage = std::current_exception();
  }
}

void Pager::exchange(Arena& arena, int64_t old_unit, int64_t unit) {
  const Clock::time_point start = Clock::now();
  PageFile::exchange(pages_[old_unit],
                     arena.bytes.first(state_bytes_[old_unit]), pages_[unit],
                     arena.bytes.first(state_bytes_[unit]));
  count_moved(old_unit, unit, seconds_since(start));
}

void Pager::write_out(const Arena& arena, int64_t unit) {
  const Clock::time_point start = Clock::now();
  pages_[unit].write(arena.bytes.first(state_bytes_[unit]));
  count_moved(unit, std::nullopt, seconds_since(start));
}

void Pager::read_in(Arena& arena, int64_t unit, const Fill& fill) {
  const auto bytes = arena.bytes.first(state_bytes_[unit]);
  const Clock::time_point start = Clock::now();
  if (pages_[unit].has_content()) {
    pages_[unit].read(bytes);
    count_moved(std::nullopt, unit, seconds_since(start));
    return;
  }
  fill(bytes);
  // Filling again costs more than a page.
  const std::scoped_lock lock(mutex_);
  arena.is_dirty = true;
  stats_.fill_seconds += seconds_since(start);
  stats_.busy_seconds -= seconds_since(start);
}

void Pager::count_moved(std::optional<int64_t> out,
                        std::optional<int64_t> in,
                        double seconds) {
  const auto bytes_out = out ? state_bytes_[*out] : 0;
  const auto bytes_in = in ? state_bytes_[*in] : 0;
  const double share_in =
      static_cast<double>(bytes_in) / static_cast<double>(bytes_in + bytes_out);
  const std::scoped_lock lock(mutex_);
  stats_.num_in += in ? 1 : 0;
  stats_.num_out += out ? 1 : 0;
  stats_.bytes_in += bytes_in;
  stats_.bytes_out += bytes_out;
  stats_.seconds_in += share_in * seconds;
  stats_.seconds_out += (1 - share_in) * seconds;
}

void Pager::push(Arena& arena, std::string what, std::function<void()> run) {
  ++arena.num_jobs;
  jobs_.push_back({&arena, std::move(run), std::move(what)});
  wake_.notify_one();
}

void Pager::throw_failure() {
  if (failure_) {
    std::rethrow_exception(failure_);
  }
}

void Pager::work() {
  block_signals();
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return is_stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) {
      return;
    }
    Job& job = jobs_.front();  // stays there while it runs: drain() waits
    std::function<void()> run = std::move(job.run);
    if (!failure_) {
      lock.unlock();
      const Clock::time_point start = Clock::now();
      std::exception_ptr failure;
      try {
        run();
      } catch (...) {
        failure = std::current_exception();
      }
      run = nullptr;  // what it held goes before anybody is told
      lock.lock();
      stats_.busy_seconds += seconds_since(start);
      failure_ = failure;
    }
    --job.arena->num_jobs;
    jobs_.pop_front();
    done_.notify_one();
  }
}

}  // namespace dblocks::memory
