// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace dblocks::optim {

/// A ParallelFor at its worst: each of `num_threads` threads takes every
/// num_threads-th chunk, last chunk first.
inline auto backwards_on_threads(int64_t num_threads) {
  return [num_threads](int64_t num_chunks,
                       const std::function<void(int64_t)>& body) {
    std::vector<std::thread> threads;
    for (int64_t thread = 0; thread < num_threads; ++thread) {
      threads.emplace_back([=, &body] {
        for (int64_t chunk = num_chunks - 1 - thread; chunk >= 0;
             chunk -= num_threads) {
          body(chunk);
        }
      });
    }
    for (auto& thread : threads) {
      thread.join();
    }
  };
}

}  // namespace dblocks::optim
