// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace dblocks::data {

/// Decodes a JPEG of exactly `rows` x `columns` into RGB planes [3, Y, X];
/// grey images get three equal planes. Errors: DataError naming the file if it
/// is no JPEG, has another size or colour space, is damaged or cut off.
void read_jpeg(const std::filesystem::path& path,
               int64_t rows,
               int64_t columns,
               std::vector<uint8_t>& planes);

}  // namespace dblocks::data
