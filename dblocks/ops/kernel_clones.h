// SPDX-License-Identifier: Apache-2.0
// Compiles a kernel once for each instruction set, multiply-adds fused where
// the CPU fuses them, and picks the best at load time. Off where the resolvers
// would run before the sanitizers' own start-up.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define DBLOCKS_KERNEL_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define DBLOCKS_KERNEL_CLONES
#endif
