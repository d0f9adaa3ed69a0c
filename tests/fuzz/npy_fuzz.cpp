// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "dblocks/core/error.h"
#include "dblocks/data/npy_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto header = dblocks::data::parse_npy_header(
        {reinterpret_cast<const std::byte*>(data), size}, "fuzz");
    if (header.size > size ||
        dblocks::data::npy_element_bytes(header.dtype) == 0) {
      std::abort();
    }
  } catch (const dblocks::DataError&) {
    // Refused: fine.
  }
  return 0;
}
