// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

namespace dblocks::data {

/// SHA-256 of bytes that come in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(const void* bytes, size_t size);
  /// The digest of all bytes so far, 64 lower-case digits. Once only.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// SHA-256 of a file as it lies on disk. Errors: DataError if it cannot be
/// read.
std::string sha256_of_file(const std::filesystem::path& path);

/// SHA-256 of a file's content, inflated if it is a gzip file. Errors: as
/// read_file.
std::string sha256_of_content(const std::filesystem::path& path);

}  // namespace dblocks::data
