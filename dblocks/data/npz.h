// SPDX-License-Identifier: Apache-2.0
// NumPy's archive of arrays: a ZIP file of .npy files. We write it as
// `numpy.savez` does, and read that of `numpy.savez_compressed` too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
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

/// An array that was read, in C order.
struct NpyData {
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
};

/// What may be unpacked of an archive: so many bytes, and so many times the
/// size of its file. Deflated zeros are a thousandth of their size; images that
/// are worth a look are never a hundredth.
struct NpzLimits {
  uint64_t always_bytes = uint64_t{1} << 30;
  uint64_t max_ratio = 100;
};

/// Reads the arrays `names` and, where there are any, those in `optional`;
/// others are passed over. Memory grows with what is unpacked, never with what
/// a header claims. *Errors*:
/// DataError naming file and array if one of `names` is missing, one comes
/// twice or is damaged, has objects in it, holds more or fewer bytes than its
/// shape says, or unpacks to more than `limits` allow.
std::map<std::string, NpyData> read_npz(
    const std::filesystem::path& file,
    const std::vector<std::string>& names,
    const std::vector<std::string>& optional = {},
    const NpzLimits& limits = {});

}  // namespace dblocks::data
