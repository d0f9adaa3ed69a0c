// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace dblocks {

/// A 128-bit hash: finds damage, gives no protection against forgery.
struct Hash128 {
  uint64_t high = 0;
  uint64_t low = 0;

  bool operator==(const Hash128&) const = default;
  /// 32 lower-case hexadecimal digits, most significant first.
  std::string hex() const;
  /// The inverse of hex(); nothing if `text` is anything else.
  static std::optional<Hash128> from_hex(std::string_view text);
};

/// Hashes bytes given piece by piece: XXH3, 128 bits, seed 0 (xxHash 0.8). The
/// result does not depend on where the pieces were cut.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  /// The hash of everything given so far.
  Hash128 digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The hash of one piece.
Hash128 hash_bytes(std::span<const std::byte> bytes);
Hash128 hash_bytes(std::string_view text);

}  // namespace dblocks
