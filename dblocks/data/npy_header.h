// SPDX-License-Identifier: Apache-2.0
// What stands in front of the numbers in a .npy file of NumPy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace dblocks::data {

struct NpyHeader {
  size_t size = 0;    ///< bytes of the header: the numbers follow
  std::string dtype;  ///< NumPy's descriptor: "|u1", "<i8", "<f4"
  std::vector<int64_t> shape;
  uint64_t num_elements = 0;  ///< the shape's product
};

/// Bytes of one element; 0 for types other than booleans, whole numbers and
/// floating point of up to 8 bytes, little-endian.
size_t npy_element_bytes(const std::string& dtype);

/// Reads the header at the start of `bytes`, of format 1.0, 2.0 or 3.0, of an
/// array in C order. Never evaluates anything: objects and structured types are
/// refused. `where` is named in errors. *Errors*: DataError.
NpyHeader parse_npy_header(std::span<const std::byte> bytes,
                           const std::string& where);

}  // namespace dblocks::data
