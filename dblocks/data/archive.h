// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace dblocks::data {

/// What an archive may hold.
struct ArchiveLimits {
  uint64_t max_bytes = uint64_t{1} << 30;  ///< of all files, unpacked
  int64_t max_files = 1000;
};

/// Unpacks a .tar.gz into the existing folder `into`; returns the names of the
/// files, relative to it. Only plain files and folders are taken, with names
/// that stay inside; owners, modes and times of the archive are not.
/// Errors: DataError naming the archive and the entry for an absolute name, one
/// with "..", a link, a device, a name that comes twice, damage, and content
/// beyond the limits. What was unpacked before stays for the caller to remove.
std::vector<std::string> unpack_archive(const std::filesystem::path& archive,
                                        const std::filesystem::path& into,
                                        const ArchiveLimits& limits = {});

}  // namespace dblocks::data
