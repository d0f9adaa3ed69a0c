// SPDX-License-Identifier: Apache-2.0
#include "dblocks/memory/malloc_policy.h"

#include <malloc.h>

#include <climits>

namespace dblocks::memory {

bool keep_freed_memory() {
#ifdef __GLIBC__
  // Other heaps than the main one cannot hold large buffers: with mapping off,
  // threads would fail over to the main one each time.
  const bool has_one_heap = mallopt(M_ARENA_MAX, 1) != 0;
  const bool maps_nothing = mallopt(M_MMAP_MAX, 0) != 0;
  const bool never_shrinks = mallopt(M_TRIM_THRESHOLD, -1) != 0;
  const bool grows_in_strides = mallopt(M_TOP_PAD, 16 << 20) != 0;
  return has_one_heap && maps_nothing && never_shrinks && grows_in_strides;
#else
  return false;
#endif
}

}  // namespace dblocks::memory
