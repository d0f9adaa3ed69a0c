// SPDX-License-Identifier: Apache-2.0
// Tensors as files know them: a name, an element type, a shape and bytes. No
// LibTorch here, so that readers and writers of files build and are fuzzed
// without it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dblocks {

/// Element types that the safetensors format names.
enum class DType { kBool, kU8, kI8, kI16, kI32, kI64, kF16, kBF16, kF32, kF64 };

/// The format's name of a type, for instance "F32".
std::string_view dtype_name(DType dtype);
/// The type of that name; nothing if the name is unknown.
std::optional<DType> dtype_from_name(std::string_view name);
/// Size of one element in bytes.
size_t dtype_bytes(DType dtype);

/// A named tensor whose bytes belong to somebody else and must outlive it.
/// *Shapes*: row-major and contiguous; an empty shape is a scalar.
struct TensorBytes {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

}  // namespace dblocks
