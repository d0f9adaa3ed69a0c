// SPDX-License-Identifier: Apache-2.0
// IDX files of MNIST and its relatives: two zero bytes, the element type (8 =
// unsigned byte), the number of dimensions, one big-endian uint32 per
// dimension, then the elements. Plain, or inside gzip.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace dblocks::data {

/// Reads an IDX file of bytes with the dimensions [N, shape...], checked
/// against the header and the length of the file. Returns the N elements.
/// Errors: DataError naming the file if the header does not say so, if N is 0
/// or above one million, or if bytes are missing or left over.
std::vector<uint8_t> read_idx(const std::filesystem::path& path,
                              const std::vector<uint32_t>& shape);

}  // namespace dblocks::data
