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
  for (const JobKind kind : {JobKind::kMove, JobKind::kTask}) {
    threads_.emplace_back([this, kind] { work(kind); });
  }
}

Pager::~Pager() {
  {
    const std::scoped_lock lock(mutex_);
    is_stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

size_t Pager::enter(int64_t unit, const Fill& fill) {
  std::unique_lock lock(mutex_);
  throw_failure();
  Arena* arena = find(unit);
  if (arena == nullptr) {
    arena = bring_in(unit, fill, /*may_drop_prefetched=*/true);
  }
  DBLOCKS_ASSERT(arena != nullptr, "leave the unit at hand first");
  wait([&] { return std::ranges::find(jobs_, arena, &Job::arena); }, lock);
  if (arena->damage) {
    arena->unit = -1;
    pages_[unit].forget();
    std::rethrow_exception(std::exchange(arena->damage, nullptr));
  }
  throw_failure();
  arena->is_entered = true;
  return static_cast<size_t>(arena - arenas_.data());
}

void Pager::leave(int64_t unit, Use use, Leaving leaving) {
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
  if (leaving.copy) {
    push({JobKind::kMove, arena, std::move(leaving.copy),
          fmt::format("block {} to leave the device", unit)});
  }
  if (leaving.task) {
    push({JobKind::kTask, arena, std::move(leaving.task),
          fmt::format("the checkpoint of block {}", unit)});
  }
}

void Pager::run(std::string what, std::function<void()> task) {
  const std::scoped_lock lock(mutex_);
  push({JobKind::kTask, nullptr, std::move(task), std::move(what)});
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
    push({JobKind::kMove, arena,
          [this, arena, arrived] {
            {
              const std::scoped_lock damage_lock(mutex_);
              if (arena->damage) {
                return;
              }
            }
            arrived(arena->bytes);
          },
          fmt::format("block {} to reach the device", unit)});
  }
  return arena != nullptr;
}

void Pager::drain() {
  std::unique_lock lock(mutex_);
  wait([&] { return jobs_.begin(); }, lock);
  throw_failure();
}

void Pager::drain_tasks() {
  std::unique_lock lock(mutex_);
  wait([&] { return first_of(JobKind::kTask); }, lock);
  throw_failure();
}

/// Waits until `next` finds no job to wait for. Storage may hang for as long as
/// it likes: what waits says so, and goes on when it comes back.
void Pager::wait(const std::function<Jobs::iterator()>& next,
                 std::unique_lock<std::mutex>& lock) {
  const Clock::time_point start = Clock::now();
  while (
      !done_.wait_for(lock, patience_, [&] { return next() == jobs_.end(); })) {
    log().warn("[pager] training has waited {:.0f} s for {}; {} more to do",
               seconds_since(start), what_delays(next()), jobs_.size() - 1);
  }
  stats_.wait_seconds += seconds_since(start);
}

/// The job under way that `job` waits for: it may be that itself, one ahead on
/// its thread, or one ahead in the arena of such a one.
std::string Pager::what_delays(Jobs::iterator job) {
  while (true) {
    const auto ahead = first_of(job->kind);
    if (may_run(ahead)) {
      return ahead->what;
    }
    job = std::ranges::find(jobs_, ahead->arena, &Job::arena);
  }
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
  push({JobKind::kMove, arena,
        [this, arena, old_unit, unit, fill] {
          swap(*arena, old_unit, unit, fill);
        },
        std::move(what)});
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

void Pager::push(Job job) {
  jobs_.push_back(std::move(job));
  wake_.notify_all();
}

void Pager::throw_failure() {
  if (failure_) {
    std::rethrow_exception(failure_);
  }
}

Pager::Jobs::iterator Pager::first_of(JobKind kind) {
  return std::ranges::find(jobs_, kind, &Job::kind);
}

/// Each thread takes its jobs in the order they came, and those of an arena are
/// done in the order they came: so nothing waits in a circle.
bool Pager::may_run(Jobs::iterator job) {
  return job != jobs_.end() &&
         (job->arena == nullptr ||
          std::ranges::find(jobs_, job->arena, &Job::arena) == job);
}

void Pager::work(JobKind kind) {
  block_signals();
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] {
      const auto first = first_of(kind);
      return may_run(first) || (is_stopping_ && first == jobs_.end());
    });
    const auto job = first_of(kind);
    if (job == jobs_.end()) {
      return;
    }
    std::function<void()> run = std::move(job->run);
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
      if (!failure_) {
        failure_ = failure;
      }
    }
    jobs_.erase(job);
    wake_.notify_all();
    done_.notify_one();
  }
}

}  // namespace dblocks::memory
