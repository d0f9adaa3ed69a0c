// SPDX-License-Identifier: Apache-2.0
#include "dblocks/checkpoint/safetensors_format.h"

#include <nlohmann/json.hpp>

namespace dblocks::checkpoint::internal {

std::optional<uint64_t> tensor_size_bytes(DType dtype,
                                          std::span<const int64_t> shape) {
  int64_t strides = 1;  // as if no size were 0
  int64_t bytes = 1;
  const auto multiply = [&](int64_t size) {
    if (size < 0 ||
        __builtin_mul_overflow(strides, size > 0 ? size : 1, &strides)) {
      return false;
    }
    bytes *= size;  // at most `strides`, so it cannot overflow
    return true;
  };
  for (const int64_t size : shape) {
    if (!multiply(size)) {
      return std::nullopt;
    }
  }
  if (!multiply(static_cast<int64_t>(dtype_bytes(dtype)))) {
    return std::nullopt;
  }
  return static_cast<uint64_t>(bytes);
}

std::string printable(std::string_view name) {
  constexpr size_t kMaxShown = 80;
  std::string shown(name.substr(0, kMaxShown));
  shown = nlohmann::json(shown).dump(-1, ' ', true,
                                     nlohmann::json::error_handler_t::replace);
  if (name.size() > kMaxShown) {
    shown += "...";
  }
  return shown;
}

}  // namespace dblocks::checkpoint::internal
