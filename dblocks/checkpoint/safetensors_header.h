// SPDX-License-Identifier: Apache-2.0
// The JSON header of a safetensors file, before it is held against the data.
// Not for others.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dblocks/checkpoint/safetensors.h"

namespace dblocks::checkpoint::internal {

/// One entry of the header. `tensor.bytes` is still empty.
struct HeaderEntry {
  TensorBytes tensor;
  uint64_t begin = 0;  ///< data offsets, relative to the end of the header
  uint64_t end = 0;
};

struct Header {
  std::vector<HeaderEntry> entries;  ///< in the order of the file
  Metadata metadata;
};

/// Parses the header and checks everything that needs no data: keys, types,
/// limits. Names may still repeat. `path` is used in messages only. *Errors*:
/// CheckpointError.
Header parse_header(std::string_view json, const std::string& path);

}  // namespace dblocks::checkpoint::internal
