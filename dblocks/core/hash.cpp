// SPDX-License-Identifier: Apache-2.0
#define XXH_INLINE_ALL
#include "dblocks/core/hash.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>

namespace dblocks {
namespace {

std::optional<uint64_t> number_from_hex(std::string_view digits) {
  const bool is_hex = std::all_of(digits.begin(), digits.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  uint64_t number = 0;
  if (!is_hex) {
    return std::nullopt;
  }
  std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
  return number;
}

}  // namespace

struct Hasher::State {
  XXH3_state_t xxh;
};

std::string Hash128::hex() const {
  return fmt::format("{:016x}{:016x}", high, low);
}

std::optional<Hash128> Hash128::from_hex(std::string_view text) {
  if (text.size() != 32) {
    return std::nullopt;
  }
  const auto high = number_from_hex(text.substr(0, 16));
  const auto low = number_from_hex(text.substr(16));
  if (!high || !low) {
    return std::nullopt;
  }
  return Hash128{*high, *low};
}

Hasher::Hasher() : state_(std::make_unique<State>()) {
  XXH3_128bits_reset(&state_->xxh);
}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(std::span<const std::byte> bytes) {
  XXH3_128bits_update(&state_->xxh, bytes.data(), bytes.size());
}

void Hasher::update(std::string_view text) {
  update(std::as_bytes(std::span(text)));
}

Hash128 Hasher::digest() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(&state_->xxh);
  return {hash.high64, hash.low64};
}

Hash128 hash_bytes(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

Hash128 hash_bytes(std::string_view text) {
  return hash_bytes(std::as_bytes(std::span(text)));
}

}  // namespace dblocks
