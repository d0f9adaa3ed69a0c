// SPDX-License-Identifier: Apache-2.0
// Compiles a function once for each instruction set and picks the best at load
// time, so that one program is fast on every CPU. Only for loops whose results
// do not depend on the width of the vectors. Off where the resolvers would run
// before the sanitizers' own start-up.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define DBLOCKS_SIMD_CLONES \
  __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define DBLOCKS_SIMD_CLONES
#endif
