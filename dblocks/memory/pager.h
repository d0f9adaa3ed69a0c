// SPDX-License-Identifier: Apache-2.0
// Moves the states of blocks between arenas in memory and page files on disk,
// on a thread of its own while the block at hand trains. Tasks that only read a
// state, such as writing its checkpoint, have another thread, so that no state
// that training waits for waits for them.
//
// With one arena training waits while a block's state leaves and the next one's
// comes in. With two, states move meanwhile. Either way the state that comes in
// takes the place of the one that leaves page by page, both under way at once.
// With as many arenas as blocks nothing is written.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "dblocks/memory/page_file.h"

namespace dblocks::memory {

struct PagerOptions {
  /// Memory for one state each, all equally large. Requires: at least one;
  /// aligned as PageFile asks for.
  std::vector<std::span<std::byte>> arenas;
  /// Per unit: the file that its state is paged to, and the bytes of the state,
  /// at most those of an arena and a multiple of PageFile::kAlignment.
  std::vector<std::filesystem::path> files;
  std::vector<size_t> state_bytes;
  /// The log says what is waited for when it takes this long, and again each
  /// time it has taken as long once more.
  std::chrono::milliseconds patience = std::chrono::seconds(30);
};

/// What a pager has done so far.
struct PagerStats {
  int64_t num_in = 0;  ///< states read from pages
  int64_t num_out = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  double seconds_in = 0;  ///< spent on reading; of states that move both ways
                          ///< at once the share of its bytes
  double seconds_out = 0;
  double fill_seconds = 0;  ///< spent on making states that had no page
  double busy_seconds = 0;  ///< spent on all other jobs of the pager's threads
  double wait_seconds = 0;  ///< that enter() waited

  /// The share of the pager's work that nobody waited for.
  double hidden_share() const;
};

/// *Threads*: one caller. Of its arena's bytes the caller owns those of the
/// unit between enter() and leave(); all others belong to the pager.
class Pager {
 public:
  /// Makes a unit's state in an arena when it has no page yet. Runs on the
  /// thread that moves states.
  using Fill = std::function<void(std::span<std::byte> arena)>;

  explicit Pager(PagerOptions options);
  /// Finishes what has been started.
  ~Pager();
  Pager(const Pager&) = delete;
  Pager& operator=(const Pager&) = delete;

  /// Brings the state of `unit` in, waits for it and returns its arena's index.
  /// Requires: no other unit is entered. *Errors*: PageError if its page is
  /// damaged (the unit is then forgotten, so that entering it again fills it);
  /// whatever a Fill, a task of leave() or a write to disk has thrown.
  size_t enter(int64_t unit, const Fill& fill);

  /// What became of a state while it was entered.
  enum class Use {
    kRead,      ///< its page, if there is one, is as good
    kChanged,   ///< its page is out of date
    kFinished,  ///< it is not needed any more
    kSpoiled,   ///< neither it nor its page are of use: it is made anew
  };

  /// Work on the state of a unit that has been left, in this order.
  struct Leaving {
    /// Brings what is elsewhere into the arena; on the thread that moves.
    std::function<void()> copy;
    /// Reads the arena, where the state stays until it is done; on the thread
    /// of tasks.
    std::function<void()> task;
  };

  /// Ends the use of `unit`.
  void leave(int64_t unit, Use use, Leaving leaving = {});

  /// Runs a task that touches no arena on the thread of tasks. What it throws
  /// is reported like that of any other.
  void run(std::string what, std::function<void()> task);

  /// Starts to bring `unit` in, if an arena can be had for it, and returns
  /// whether one could; nothing is waited for. `arrived`, if any, runs on the
  /// thread that moves once the state is there. What goes wrong is reported by
  /// the next enter().
  bool prefetch(
      int64_t unit,
      const Fill& fill,
      const std::function<void(std::span<std::byte> arena)>& arrived = {});

  /// Waits for every job. *Errors*: as enter(), except for damaged pages.
  void drain();

  /// Waits for every task. *Errors*: as drain().
  void drain_tasks();

  PagerStats stats() const;
  size_t num_arenas() const { return arenas_.size(); }

 private:
  struct Arena {
    std::span<std::byte> bytes;
    int64_t unit = -1;        // whose state it holds, or will
    bool is_entered = false;  // the caller owns it
    bool is_dirty = false;    // newer than the page
    uint64_t left_at = 0;     // grows with time; 0: not entered yet
    std::exception_ptr damage;
  };
  enum class JobKind { kMove, kTask };
  struct Job {
    JobKind kind;
    Arena* arena;  // or null
    std::function<void()> run;
    std::string what;  // in words, for the log
  };
  using Jobs = std::list<Job>;

  void work(JobKind kind);
  Jobs::iterator first_of(JobKind kind);
  bool may_run(Jobs::iterator job);
  Arena* find(int64_t unit);
  Arena* victim(bool may_drop_prefetched);
  Arena* bring_in(int64_t unit, const Fill& fill, bool may_drop_prefetched);
  void swap(Arena& arena, int64_t old_unit, int64_t unit, const Fill& fill);
  void exchange(Arena& arena, int64_t old_unit, int64_t unit);
  void write_out(const Arena& arena, int64_t unit);
  void read_in(Arena& arena, int64_t unit, const Fill& fill);
  void count_moved(std::optional<int64_t> out,
                   std::optional<int64_t> in,
                   double seconds);
  void push(Job job);
  void wait(const std::function<Jobs::iterator()>& next,
            std::unique_lock<std::mutex>& lock);
  std::string what_delays(Jobs::iterator job);
  void throw_failure();

  std::vector<Arena> arenas_;
  std::vector<size_t> state_bytes_;
  std::chrono::milliseconds patience_;
  std::vector<PageFile> pages_;  // used by the thread that moves, or when idle

  mutable std::mutex mutex_;
  std::condition_variable wake_;  // the pager's threads
  std::condition_variable done_;  // the caller
  Jobs jobs_;  // in the order they came; one stays while it runs
  bool is_stopping_ = false;
  std::exception_ptr failure_;
  uint64_t clock_ = 0;
  PagerStats stats_;
  std::vector<std::thread> threads_;  // last: they use the others
};

}  // namespace dblocks::memory
