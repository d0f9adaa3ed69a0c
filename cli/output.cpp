// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <fmt/format.h>

#include <cstdio>

#include "dblocks/core/error.h"
#include "dblocks/core/file_system.h"

namespace dblocks::cli {

void print_line(const std::string& text) {
  const bool is_written = std::fputs(text.c_str(), stdout) >= 0 &&
                          std::fputc('\n', stdout) != EOF &&
                          std::fflush(stdout) == 0;
  DBLOCKS_CHECK(is_written, DeviceError,
                "[output] cannot write to standard output");
}

std::string format_bytes(int64_t bytes) {
  constexpr double kMib = 1 << 20, kGib = 1 << 30;
  const auto size = static_cast<double>(bytes);
  return size >= kGib ? fmt::format("{:.2f} GiB", size / kGib)
                      : fmt::format("{:.1f} MiB", size / kMib);
}

std::string format_percent(double fraction) {
  return fmt::format("{:.2f} %", fraction * 100);
}

void replace_file(const std::filesystem::path& path, std::string_view text) {
  FileSystem& disk = real_file_system();
  const std::filesystem::path temporary = path.string() + ".tmp";
  disk.write_file(temporary, text);
  disk.rename(temporary, path);
  disk.sync_folder(path.has_parent_path() ? path.parent_path() : ".");
}

}  // namespace dblocks::cli
