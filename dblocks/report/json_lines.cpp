// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/json_lines.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <utility>

#include "dblocks/core/error.h"

namespace dblocks::report {
namespace {

std::string error_text(int error) {
  return std::generic_category().message(error);
}

// Whether a line is a whole entry of a step not after `last_step`.
bool is_entry_until(const std::string& line, int64_t last_step) {
  const auto entry = nlohmann::json::parse(line, nullptr, false);
  if (!entry.is_object()) {
    return false;
  }
  const auto step = entry.find("step");
  return step != entry.end() && step->is_number_integer() &&
         step->get<int64_t>() <= last_step;
}

// The length of the part of the log that a run resumed from `last_step` keeps.
int64_t kept_size(const std::filesystem::path& path, int64_t last_step) {
  if (!std::filesystem::exists(path)) {
    return 0;
  }
  std::ifstream file(path, std::ios::binary);
  DBLOCKS_CHECK(file.good(), CheckpointError,
                "[json_lines] expected to read the log {}, found that it "
                "cannot be opened. Hint: check its permissions.",
                path.string());
  int64_t kept = 0;
  int64_t end = 0;
  std::string line;
  while (std::getline(file, line) && !file.eof()) {  // eof: no line end
    end += static_cast<int64_t>(line.size()) + 1;
    if (is_entry_until(line, last_step)) {
      kept = end;
    }
  }
  return kept;
}

}  // namespace

JsonLinesLog JsonLinesLog::create(const std::filesystem::path& path) {
  return JsonLinesLog(path, 0);
}

JsonLinesLog JsonLinesLog::resume(const std::filesystem::path& path,
                                  int64_t last_step) {
  return JsonLinesLog(path, kept_size(path, last_step));
}

JsonLinesLog::JsonLinesLog(const std::filesystem::path& path,
                           int64_t size_to_keep)
    : path_(path),
      file_(::open(
          path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  DBLOCKS_CHECK(file_ >= 0, CheckpointError,
                "[json_lines] expected to write the log {}, found: {}. Hint: "
                "check the run folder and its permissions.",
                path.string(), error_text(errno));
  if (::ftruncate(file_, size_to_keep) != 0) {
    const int error = errno;
    ::close(file_);
    throw CheckpointError(fmt::format(
        "[json_lines] expected to shorten the log {}, found: {}. Hint: is it "
        "a regular file?",
        path.string(), error_text(error)));
  }
}

JsonLinesLog::JsonLinesLog(JsonLinesLog&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}

JsonLinesLog& JsonLinesLog::operator=(JsonLinesLog&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(file_, other.file_);
  return *this;
}

JsonLinesLog::~JsonLinesLog() {
  if (file_ >= 0) {
    ::close(file_);
  }
}

void JsonLinesLog::write(const nlohmann::ordered_json& entry) {
  DBLOCKS_ASSERT(entry.is_object(), "[json_lines] not an object");
  const std::string line =
      entry.dump(-1, ' ', false,
                 nlohmann::ordered_json::error_handler_t::replace) +
      '\n';
  struct stat before {};
  const bool is_known = ::fstat(file_, &before) == 0;
  ssize_t written = -1;
  do {
    written = ::write(file_, line.data(), line.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(line.size())) {
    return;
  }
  const int error = written < 0 ? errno : ENOSPC;
  const bool is_undone = is_known && ::ftruncate(file_, before.st_size) == 0;
  throw DeviceError(fmt::format(
      "[json_lines] expected to append {} bytes to {}, found: {}{}. Hint: make "
      "room on the disk and run the same command again.",
      line.size(), path_.string(), error_text(error),
      is_undone ? "" : ", and part of a line is left"));
}

void JsonLinesLog::sync() {
  int result = 0;
  do {
    result = ::fsync(file_);
  } while (result != 0 && errno == EINTR);
  DBLOCKS_CHECK(result == 0, DeviceError,
                "[json_lines] expected {} to reach the disk, found: {}. Hint: "
                "check the disk.",
                path_.string(), error_text(errno));
}

}  // namespace dblocks::report
