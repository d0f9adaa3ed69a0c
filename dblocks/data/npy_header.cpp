// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/npy_header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "dblocks/core/error.h"

namespace dblocks::data {
namespace {

constexpr size_t kMaxHeaderBytes = 4096;
constexpr size_t kMaxDimensions = 32;

[[noreturn]] void refuse(const std::string& where, const std::string& found) {
  throw DataError(fmt::format(
      "[read_npz] expected the header of an array of NumPy, found {}: {}",
      found, where));
}

/// Reads a Python dictionary with the three keys of a header.
class DictionaryReader {
 public:
  DictionaryReader(std::string_view text, const std::string& where)
      : rest_(text), where_(where) {}

  NpyHeader read() {
    expect('{');
    while (!take('}')) {
      read_entry();
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!rest_.empty()) {
      refuse(where_, "text behind the dictionary");
    }
    if (!dtype_ || !shape_ || !is_c_order_) {
      refuse(where_, "no descr, fortran_order or shape");
    }
    return {.dtype = *dtype_, .shape = *shape_};
  }

 private:
  void read_entry() {
    const std::string key = read_string();
    expect(':');
    if (key == "descr" && !dtype_) {
      dtype_ = read_string();
    } else if (key == "fortran_order" && !is_c_order_) {
      if (!take_word("False")) {
        refuse(where_, "an array in Fortran's order");
      }
      is_c_order_ = true;
    } else if (key == "shape" && !shape_) {
      shape_ = read_shape();
    } else {
      refuse(where_, "another key or one twice");
    }
  }

  std::string read_string() {
    skip_space();
    const char quote = rest_.empty() ? '\0' : rest_.front();
    const size_t end = rest_.find(quote, 1);
    if ((quote != '\'' && quote != '"') || end == std::string_view::npos) {
      refuse(where_, "no string where one has to be");
    }
    std::string value(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return value;
  }

  std::vector<int64_t> read_shape() {
    std::vector<int64_t> shape;
    expect('(');
    while (!take(')')) {
      shape.push_back(read_number());
      if (shape.size() > kMaxDimensions) {
        refuse(where_, "too many dimensions");
      }
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return shape;
  }

  int64_t read_number() {
    skip_space();
    int64_t value = -1;
    const auto [end, code] =
        std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (code != std::errc() || value < 0) {
      refuse(where_, "a dimension that is no whole number");
    }
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return value;
  }

  void skip_space() {
    const size_t start = rest_.find_first_not_of(" \n");
    rest_.remove_prefix(std::min(start, rest_.size()));
  }
  bool take(char c) {
    skip_space();
    if (rest_.empty() || rest_.front() != c) {
      return false;
    }
    rest_.remove_prefix(1);
    return true;
  }
  bool take_word(std::string_view word) {
    skip_space();
    if (!rest_.starts_with(word)) {
      return false;
    }
    rest_.remove_prefix(word.size());
    return true;
  }
  void expect(char c) {
    if (!take(c)) {
      refuse(where_, fmt::format("no '{}' where one has to be", c));
    }
  }

  std::string_view rest_;
  const std::string& where_;
  std::optional<std::string> dtype_;
  std::optional<std::vector<int64_t>> shape_;
  bool is_c_order_ = false;
};

/// Product of the dimensions. *Errors*: DataError beyond 2^62 bytes.
uint64_t product(const std::vector<int64_t>& shape, const std::string& where) {
  constexpr uint64_t kMost = uint64_t{1} << 59;
  if (std::ranges::find(shape, 0) != shape.end()) {
    return 0;
  }
  uint64_t result = 1;
  for (const int64_t dimension : shape) {
    if (static_cast<uint64_t>(dimension) > kMost / result) {
      refuse(where, "a shape of too many numbers");
    }
    result *= static_cast<uint64_t>(dimension);
  }
  return result;
}

}  // namespace

size_t npy_element_bytes(const std::string& dtype) {
  constexpr auto kTypes =
      std::to_array<std::pair<std::string_view, size_t>>({{"|b1", 1},
                                                          {"|u1", 1},
                                                          {"|i1", 1},
                                                          {"<u2", 2},
                                                          {"<i2", 2},
                                                          {"<f2", 2},
                                                          {"<u4", 4},
                                                          {"<i4", 4},
                                                          {"<f4", 4},
                                                          {"<u8", 8},
                                                          {"<i8", 8},
                                                          {"<f8", 8}});
  for (const auto& [name, size] : kTypes) {
    if (name == dtype) {
      return size;
    }
  }
  return 0;
}

NpyHeader parse_npy_header(std::span<const std::byte> bytes,
                           const std::string& where) {
  constexpr std::string_view kMagic("\x93NUMPY", 6);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              bytes.size());
  if (!text.starts_with(kMagic) || text.size() < 12) {
    refuse(where, "another start of the file");
  }
  const auto version = static_cast<uint8_t>(text[6]);
  if (version < 1 || version > 3) {
    refuse(where, fmt::format("version {} of the format", version));
  }
  const size_t width = version == 1 ? 2 : 4;
  size_t length = 0;
  for (size_t i = 0; i < width; ++i) {
    length |= static_cast<size_t>(static_cast<uint8_t>(text[8 + i])) << (8 * i);
  }
  const size_t start = 8 + width;
  if (length > kMaxHeaderBytes || text.size() - start < length) {
    refuse(where, fmt::format("{} bytes of header", length));
  }
  NpyHeader header = DictionaryReader(text.substr(start, length), where).read();
  header.size = start + length;
  if (npy_element_bytes(header.dtype) == 0) {
    refuse(where, fmt::format("elements of type '{}'", header.dtype));
  }
  header.num_elements = product(header.shape, where);
  return header;
}

}  // namespace dblocks::data
