// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/json_lines.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "dblocks/core/error.h"

namespace dblocks::report {
namespace {

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
    : file_(path, size_to_keep) {}

void JsonLinesLog::write(const nlohmann::ordered_json& entry) {
  DBLOCKS_ASSERT(entry.is_object(), "[json_lines] not an object");
  file_.append(entry.dump(-1, ' ', false,
                          nlohmann::ordered_json::error_handler_t::replace) +
               '\n');
}

void JsonLinesLog::sync() {
  file_.sync();
}

}  // namespace dblocks::report
