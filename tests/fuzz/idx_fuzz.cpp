// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "dblocks/core/error.h"
#include "dblocks/data/idx.h"
#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const bool is_images = dblocks::fuzz::take_choice(data, size) % 2 != 0;
  const std::vector<uint32_t> shape =
      is_images ? std::vector<uint32_t>{4, 4} : std::vector<uint32_t>{};
  const dblocks::fuzz::MemoryFile file(data, size);
  try {
    const auto elements = dblocks::data::read_idx(file.path(), shape);
    if (elements.empty() || elements.size() % (is_images ? 16 : 1) != 0) {
      std::abort();
    }
  } catch (const dblocks::DataError&) {
    // Refused: fine.
  }
  return 0;
}
