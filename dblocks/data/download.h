// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace dblocks::data {

/// Called now and then with the bytes of the file that are there.
using DownloadProgress = std::function<void(uint64_t bytes)>;

/// One file to be had.
struct Download {
  std::string url;  ///< http, https or file
  std::filesystem::path target;
  uint64_t max_bytes = 0;  ///< the file's size; 0 = not known
  std::string sha256;      ///< 64 lower-case digits
  DownloadProgress progress;
};

/// Brings a file and checks it. Bytes go to TARGET.part; a broken connection is
/// taken up where it ended, in this call and in a later one, provided that the
/// server's file is still the same (its ETag or date, kept in TARGET.part.tag).
/// `target` appears, complete and synced, only after its hash was checked.
/// Errors: DataError naming the address if it cannot be reached, answers with
/// an error, sends more than max_bytes, or if the hash differs even after a
/// download from the start; a damaged .part is removed then.
void download(const Download& request);

}  // namespace dblocks::data
