// SPDX-License-Identifier: Apache-2.0
// How much memory tensors and the process take. Tensor bytes are counted where
// LibTorch allocates them, so that nothing alive escapes: weights, gradients,
// moments, activations kept for the backward pass, workspaces.
#pragma once

#include <cstdint>

namespace dblocks::memory {

/// What the meter does with the memory of freed tensors.
struct CachingPolicy {
  /// Keeps freed buffers of at least 1 MiB for later tensors of about that
  /// size: every training step allocates what the step before has freed, and
  /// memory that goes back to the system comes back as page faults.
  bool keep_freed = true;
  /// Live and kept bytes together stay below this multiple of the largest
  /// number of bytes ever live: memory is kept, not added.
  double limit_ratio = 1.25;
};

/// Puts the meter (and the cache) between LibTorch and its CPU memory. Tensors
/// that exist already stay valid and uncounted. A second call changes the
/// policy only.
/// *Errors*: ConfigError unless limit_ratio is finite and at least 1.
/// *Threads*: call before other threads use tensors.
void install_cpu_meter(const CachingPolicy& policy = {});

/// Bytes of CPU tensors alive, as asked for by LibTorch. 0 without the meter.
/// *Threads*: these three may be called from any thread.
int64_t cpu_live_bytes();
/// The largest cpu_live_bytes since the start or the last reset.
int64_t cpu_peak_bytes();
/// Starts a new peak from what is alive now.
void reset_cpu_peak();

/// Sets the most bytes of tensors that may be alive at once; 0, as at first, is
/// no limit. A tensor beyond it, like one that the system has no room for, is
/// refused with an OutOfMemoryError. Takes effect once the meter is installed.
void set_cpu_limit(int64_t bytes);

/// Bytes of freed tensors that are being kept.
int64_t cpu_kept_bytes();
/// Gives the kept bytes back to the system.
void release_kept_memory();

/// Memory of the whole process that is in RAM now, and its largest value so
/// far (VmRSS and VmHWM of /proc/self/status); 0 where the system does not say.
int64_t process_resident_bytes();
int64_t process_peak_resident_bytes();

}  // namespace dblocks::memory
