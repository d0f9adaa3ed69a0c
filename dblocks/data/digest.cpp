// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/digest.h"

#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/data/file_bytes.h"

namespace dblocks::data {

struct Sha256::State {
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context{EVP_MD_CTX_new(),
                                                             &EVP_MD_CTX_free};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  DBLOCKS_ASSERT(
      EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr) == 1,
      "SHA-256 does not start");
}

Sha256::~Sha256() = default;

void Sha256::add(const void* bytes, size_t size) {
  DBLOCKS_ASSERT(EVP_DigestUpdate(state_->context.get(), bytes, size) == 1,
                 "SHA-256 fails");
}

std::string Sha256::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  DBLOCKS_ASSERT(
      EVP_DigestFinal_ex(state_->context.get(), digest.data(), &size) == 1,
      "SHA-256 fails");
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += fmt::format("{:02x}", digest[i]);
  }
  return text;
}

std::string sha256_of_file(const std::filesystem::path& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      std::fopen(path.c_str(), "rb"), &std::fclose);
  DBLOCKS_CHECK(file != nullptr, DataError, "[sha256] cannot open {}: {}",
                path.string(), std::strerror(errno));
  Sha256 digest;
  std::vector<char> piece(size_t{1} << 18);
  while (const size_t size =
             std::fread(piece.data(), 1, piece.size(), file.get())) {
    digest.add(piece.data(), size);
  }
  DBLOCKS_CHECK(!std::ferror(file.get()), DataError,
                "[sha256] cannot read {}: {}", path.string(),
                std::strerror(errno));
  return digest.hex();
}

std::string sha256_of_content(const std::filesystem::path& path) {
  Sha256 digest;
  read_file(path, [&](const uint8_t* bytes, size_t size) {
    digest.add(bytes, size);
    return true;
  });
  return digest.hex();
}

}  // namespace dblocks::data
