// SPDX-License-Identifier: Apache-2.0
#include "dblocks/optim/parallel_for.h"

#include <algorithm>

namespace dblocks::optim {

void for_each_chunk(int64_t num_elements,
                    const ParallelFor& parallel,
                    const std::function<void(int64_t, int64_t)>& body) {
  const int64_t num_chunks =
      (num_elements + kChunkElements - 1) / kChunkElements;
  const auto run_chunk = [&](int64_t chunk) {
    const int64_t begin = chunk * kChunkElements;
    body(begin, std::min(begin + kChunkElements, num_elements));
  };
  if (parallel && num_chunks > 1) {
    parallel(num_chunks, run_chunk);
    return;
  }
  for (int64_t chunk = 0; chunk < num_chunks; ++chunk) {
    run_chunk(chunk);
  }
}

}  // namespace dblocks::optim
