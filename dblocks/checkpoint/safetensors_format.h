// SPDX-License-Identifier: Apache-2.0
// What the reader and the writer of safetensors files agree on. Not for others.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dblocks/core/tensor_bytes.h"

namespace dblocks::checkpoint::internal {

inline constexpr uint64_t kLengthBytes = 8;  ///< before the header
inline constexpr uint64_t kDataAlignment = 64;
inline constexpr std::string_view kMetadataKey = "__metadata__";

/// Size in bytes of a tensor; nothing if a dimension is negative, or if the
/// product of the sizes (taking 0 for 1, so that strides are safe too) does not
/// fit 63 bits.
std::optional<uint64_t> tensor_size_bytes(DType dtype,
                                          std::span<const int64_t> shape);

/// A name fit for a message: quoted, escaped to printable ASCII, shortened.
std::string printable(std::string_view name);

}  // namespace dblocks::checkpoint::internal
