// SPDX-License-Identifier: Apache-2.0
// NumPy's archive of arrays, as `numpy.savez` writes it: a ZIP file of .npy
// files, not compressed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace dblocks::data {

/// An array in C order. The bytes must outlive its use.
struct NpyArray {
  std::string name;   ///< `arr_0`, say
  std::string dtype;  ///< NumPy's descriptor: "|u1", "<i8", "<f4"
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

/// Writes beside `file` and renames. The same arrays give the same bytes.
/// *Errors*: those of FileSystem.
void write_npz(const std::filesystem::path& file,
               const std::vector<NpyArray>& arrays);

}  // namespace dblocks::data
