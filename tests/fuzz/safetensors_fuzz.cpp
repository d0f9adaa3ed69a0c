// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "dblocks/checkpoint/safetensors.h"
#include "dblocks/core/error.h"
#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const dblocks::fuzz::MemoryFile file(data, size);
  try {
    const dblocks::checkpoint::SafetensorsFile tensors(file.path());
    uint64_t sum = 0;
    for (const dblocks::TensorBytes& tensor : tensors.tensors()) {
      for (const std::byte byte : tensor.bytes) {
        sum += std::to_integer<uint64_t>(byte);
      }
    }
    if (sum > 255 * size) {  // each byte belongs to one tensor at most
      std::abort();
    }
  } catch (const dblocks::CheckpointError&) {
    // Refused: fine.
  }
  return 0;
}
