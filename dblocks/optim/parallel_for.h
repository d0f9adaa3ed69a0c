// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

namespace dblocks::optim {

/// Runs `body(chunk)` once for every chunk in [0, num_chunks), in any order and
/// on any threads, and returns when all are done. The caller supplies it, so
/// that this folder needs no thread pool of its own; with LibTorch:
///
///     [](int64_t num_chunks, const auto& body) {
///       at::parallel_for(0, num_chunks, 1, [&](int64_t begin, int64_t end) {
///         for (int64_t chunk = begin; chunk < end; ++chunk) body(chunk);
///       });
///     }
///
/// An empty function means: one after the other, on the calling thread.
using ParallelFor = std::function<void(
    int64_t num_chunks, const std::function<void(int64_t)>& body)>;

/// Elements of one chunk. Fixed, so that no result depends on how many threads
/// there are: 128 KiB of each buffer, large against the cost of a call.
inline constexpr int64_t kChunkElements = 32768;

/// Calls `body(begin, end)` for the chunks of [0, num_elements) through
/// `parallel`.
void for_each_chunk(int64_t num_elements,
                    const ParallelFor& parallel,
                    const std::function<void(int64_t, int64_t)>& body);

}  // namespace dblocks::optim
