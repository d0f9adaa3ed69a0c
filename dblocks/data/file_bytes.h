// SPDX-License-Identifier: Apache-2.0
// Whole files as bytes, with a bound on what they may occupy. Files are
// hostile: memory grows with what was read, never with what a header claims.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace dblocks::data {

/// Receives the next bytes of a file; returns false to stop reading.
using ByteSink = std::function<bool(const uint8_t* bytes, size_t size)>;

/// Passes the content of `path` to `sink` in pieces, inflating it first if it
/// is a gzip file. Errors: DataError if it cannot be read, and for gzip files
/// that are cut off, damaged or followed by other bytes.
void read_file(const std::filesystem::path& path, const ByteSink& sink);

/// The whole content. Errors: as above, and DataError beyond `max_bytes`.
std::vector<uint8_t> read_file(const std::filesystem::path& path,
                               size_t max_bytes);

/// The lines of a small text file without their ends; a last empty line is
/// dropped. Errors: as read_file; `max_bytes` is 16 MiB.
std::vector<std::string> read_lines(const std::filesystem::path& path);

}  // namespace dblocks::data
