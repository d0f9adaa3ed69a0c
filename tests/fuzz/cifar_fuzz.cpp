// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "dblocks/core/error.h"
#include "dblocks/data/cifar.h"
#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const bool has_two_labels = dblocks::fuzz::take_choice(data, size) % 2 != 0;
  const dblocks::fuzz::MemoryFile file(data, size);
  const std::filesystem::path path = file.path();
  try {
    const auto samples = dblocks::data::read_cifar(
        {&path, 1}, has_two_labels ? 2 : 1, has_two_labels ? 100 : 10);
    if (samples.pixels.size() != samples.labels.size() * 3072) {
      std::abort();
    }
  } catch (const dblocks::DataError&) {
    // Refused: fine.
  }
  return 0;
}
