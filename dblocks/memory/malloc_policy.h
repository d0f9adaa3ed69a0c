// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace dblocks::memory {

/// Makes malloc keep what is freed instead of returning it to the system, for
/// the workspaces that LibTorch's libraries allocate past the tensor allocator
/// (see CachingPolicy for tensors): no memory is mapped apart, the heap is not
/// shrunk, and all threads share one heap. Freed memory may leave gaps that no
/// later request fits, so the process can grow beyond its largest need: to
/// nearly twice in a training step whose tensors come from malloc too, not
/// measurably where they come from the cache.
/// Returns false where the C library has no such settings.
/// *Threads*: call first thing in main; settings hold for the whole process.
bool keep_freed_memory();

}  // namespace dblocks::memory
