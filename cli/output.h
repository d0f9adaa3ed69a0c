// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace dblocks::cli {

/// Writes text and a line end to standard output. *Errors*: DeviceError if it
/// cannot be written (a full disk, a closed pipe).
void print_line(const std::string& text);

/// A size for people: "12.3 MiB", "1.25 GiB".
std::string format_bytes(int64_t bytes);

/// A fraction as a percentage with two digits: "86.43 %".
std::string format_percent(double fraction);

/// Writes a file beside `path` and renames it, so that readers see the old file
/// or the new one. *Errors*: those of FileSystem.
void replace_file(const std::filesystem::path& path, std::string_view text);

}  // namespace dblocks::cli
