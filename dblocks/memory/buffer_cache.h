// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

namespace dblocks::memory {

/// Large buffers that are kept when they are given back. A training step asks
/// for what the step before gave back, in the same sizes; memory returned to
/// the system in between comes back zeroed, one page fault per 4 KiB, which can
/// cost more than computing with it. New buffers ask for 2 MiB pages.
///
/// A request takes the smallest kept buffer that holds it and is at most an
/// eighth larger. Taken and kept bytes together stay within `limit_ratio` times
/// the most bytes ever taken at once; the buffers kept longest go first.
///
/// *Threads*: safe.
class BufferCache {
 public:
  /// Sizes are whole multiples of this.
  static constexpr size_t kGranularity = 65536;

  explicit BufferCache(double limit_ratio);
  ~BufferCache();
  BufferCache(const BufferCache&) = delete;
  BufferCache& operator=(const BufferCache&) = delete;

  struct Buffer {
    void* data = nullptr;  ///< on a page boundary; contents undefined
    size_t capacity = 0;
  };

  /// A buffer of at least `bytes`.
  /// *Errors*: OutOfMemoryError if the system has no memory left.
  Buffer take(size_t bytes);
  /// Gives back what take() returned.
  void give(Buffer buffer);

  /// Gives every kept buffer back to the system.
  void release();
  void set_limit_ratio(double limit_ratio);

  int64_t kept_bytes() const;

 private:
  struct Kept {
    void* data;
    uint64_t age;  // grows with time
  };

  Buffer take_kept(size_t size);
  Buffer take_new(size_t size);
  void trim(size_t limit);
  size_t limit() const;

  mutable std::mutex mutex_;
  std::multimap<size_t, Kept> kept_;  // by capacity
  double limit_ratio_;
  uint64_t clock_ = 0;
  size_t kept_bytes_ = 0;
  size_t taken_bytes_ = 0;
  size_t most_taken_bytes_ = 0;
};

}  // namespace dblocks::memory
