// SPDX-License-Identifier: Apache-2.0
// Archives of NumPy arrays: images or statistics that others are compared with.
#include <cstdlib>

#include "dblocks/core/error.h"
#include "dblocks/data/image_archive.h"
#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dblocks::data;
  const dblocks::fuzz::MemoryFile file(data, size);
  try {
    const auto found = read_reference(file.path());
    if (const auto* images = std::get_if<ImageArchive>(&found)) {
      uint64_t count = 1;
      for (const int64_t n : images->shape) {
        count *= static_cast<uint64_t>(n);
      }
      if (images->pixels.size() != count) {
        std::abort();
      }
    } else {
      const auto& known = std::get<FeatureStatistics>(found);
      if (known.covariance.size() != known.mean.size() * known.mean.size()) {
        std::abort();
      }
    }
  } catch (const dblocks::DataError&) {
    // Refused: fine.
  }
  return 0;
}
