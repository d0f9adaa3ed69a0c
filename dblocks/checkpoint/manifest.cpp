// SPDX-License-Identifier: Apache-2.0
#include "dblocks/checkpoint/manifest.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "dblocks/core/error.h"

namespace dblocks::checkpoint {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kFormatName = "dblocks-checkpoint";
constexpr uint64_t kMaxManifestBytes = 1'000'000;
constexpr int kMaxDepth = 3;
constexpr size_t kMaxFiles = 64;
constexpr size_t kMaxTextBytes = 256;

// The last lines of the file. What they hold is the hash of all bytes before.
constexpr std::string_view kTailStart = "  \"checksum\": \"";
constexpr std::string_view kTailEnd = "\"\n}\n";
constexpr size_t kTailBytes = kTailStart.size() + 32 + kTailEnd.size();

std::string tail_text(std::string_view body) {
  return fmt::format("{}{}{}", kTailStart, hash_bytes(body).hex(), kTailEnd);
}

// Quoted, escaped to ASCII and shortened.
std::string key_text(std::string_view text) {
  return Json(std::string(text.substr(0, kMaxTextBytes)))
      .dump(-1, ' ', true, Json::error_handler_t::replace);
}

// Reads values of one JSON object by key, naming file and key when one is
// wrong.
class Reader {
 public:
  Reader(const Json& object, const std::string& path, std::string prefix = "")
      : object_(object), path_(path), prefix_(std::move(prefix)) {
    check(object.is_object(), "", "an object");
  }

  void allow_only(std::initializer_list<std::string_view> keys) const {
    for (const auto& item : object_.items()) {
      const bool known =
          std::find(keys.begin(), keys.end(), item.key()) != keys.end();
      DBLOCKS_CHECK(known, CheckpointError, "[manifest] unknown key {}: {}",
                    key_text(prefix_ + item.key()), path_);
    }
  }

  const Json& value(const std::string& key) const {
    check(object_.contains(key), key, "a value");
    return object_.at(key);
  }

  std::string text(const std::string& key) const {
    check(value(key).is_string(), key, "a string");
    std::string text = value(key).get<std::string>();
    check(text.size() <= kMaxTextBytes, key, "a short string");
    return text;
  }

  int64_t count(const std::string& key) const {
    check(value(key).is_number_unsigned(), key, "a whole number");
    const auto number = value(key).get<uint64_t>();
    check(number <= uint64_t{std::numeric_limits<int64_t>::max()}, key,
          "a number below 2^63");
    return static_cast<int64_t>(number);
  }

  double number(const std::string& key) const {
    check(value(key).is_number(), key, "a number");
    const auto number = value(key).get<double>();
    check(std::isfinite(number) && number >= 0, key, "a number >= 0");
    return number;
  }

  Hash128 hash(const std::string& key) const {
    const auto hash = Hash128::from_hex(text(key));
    check(hash.has_value(), key, "32 lower-case hexadecimal digits");
    return *hash;
  }

  void check(bool is_valid,
             const std::string& key,
             std::string_view expected) const {
    DBLOCKS_CHECK(is_valid, CheckpointError,
                  "[manifest] expected {}, key \"{}{}\": {}", expected, prefix_,
                  key, path_);
  }

 private:
  const Json& object_;
  const std::string& path_;
  std::string prefix_;
};

bool is_plain_name(std::string_view name) {
  return !name.empty() && name.front() != '.' && name != kManifestName &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
         });
}

// A document of bounded depth whose keys do not repeat.
Json parse_json(std::string_view text, const std::string& path) {
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    DBLOCKS_CHECK(depth <= kMaxDepth, CheckpointError,
                  "[manifest] nested deeper than {} levels: {}", kMaxDepth,
                  path);
    if (event == Json::parse_event_t::object_start) {
      keys.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == Json::parse_event_t::key) {
      const auto key = parsed.get<std::string>();
      DBLOCKS_CHECK(keys.back().insert(key).second, CheckpointError,
                    "[manifest] duplicate key {}: {}", key_text(key), path);
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), watch);
  } catch (const Json::parse_error& error) {
    throw CheckpointError(
        fmt::format("[manifest] not JSON at byte {}: {}", error.byte, path));
  } catch (const Json::exception&) {
    throw CheckpointError(
        fmt::format("[manifest] a number is out of range: {}", path));
  }
}

void check_version(const Reader& reader, const std::string& path) {
  reader.check(reader.text("format") == kFormatName, "format",
               fmt::format("\"{}\"", kFormatName));
  const int64_t version = reader.count("version");
  DBLOCKS_CHECK(version == kManifestVersion, CheckpointError,
                "[manifest] found version {}, this program reads version {}: "
                "{}. Hint: use the release of dblocks that wrote it",
                version, kManifestVersion, path);
}

void check_checksum(std::string_view text, const std::string& path) {
  const bool is_whole = text.size() > kTailBytes &&
                        text.substr(text.size() - kTailBytes) ==
                            tail_text(text.substr(0, text.size() - kTailBytes));
  DBLOCKS_CHECK(is_whole, CheckpointError,
                "[manifest] checksum does not match, the file was changed or "
                "damaged, key \"checksum\": {}",
                path);
}

UnitKind parse_unit(const Reader& reader) {
  const std::string name = reader.text("unit");
  const auto* found =
      std::find_if(kUnitKindNames.begin(), kUnitKindNames.end(),
                   [&](const auto& entry) { return entry.name == name; });
  reader.check(found != kUnitKindNames.end(), "unit",
               "\"block\", \"shared\" or \"model\"");
  return found->value;
}

std::vector<ManifestFile> parse_files(const Reader& reader,
                                      const std::string& path) {
  const Json& list = reader.value("files");
  reader.check(list.is_array() && list.size() <= kMaxFiles, "files",
               fmt::format("a list of at most {} files", kMaxFiles));
  std::vector<ManifestFile> files;
  std::set<std::string> names;
  for (const Json& item : list) {
    const Reader file(item, path, fmt::format("files[{}].", files.size()));
    file.allow_only({"name", "size_bytes", "hash"});
    const std::string name = file.text("name");
    file.check(is_plain_name(name), "name",
               "a plain file name of letters, digits, '_', '-', '.'");
    file.check(names.insert(name).second, "name", "a name not listed before");
    files.push_back({name, static_cast<uint64_t>(file.count("size_bytes")),
                     file.hash("hash")});
  }
  return files;
}

void check_ranges(const Manifest& manifest, const Reader& reader) {
  reader.check(manifest.num_blocks >= 1, "num_blocks", "at least 1");
  reader.check(manifest.block < manifest.num_blocks, "block",
               fmt::format("less than num_blocks = {}", manifest.num_blocks));
  reader.check(manifest.first_layer <= manifest.end_layer, "end_layer",
               fmt::format("at least first_layer = {}", manifest.first_layer));
  reader.check(manifest.sigma_low <= manifest.sigma_high, "sigma_high",
               fmt::format("at least sigma_low = {}", manifest.sigma_low));
}

Json to_json(const Manifest& manifest) {
  Json files = Json::array();
  for (const ManifestFile& file : manifest.files) {
    files.push_back({{"name", file.name},
                     {"size_bytes", file.size_bytes},
                     {"hash", file.hash.hex()}});
  }
  return {{"format", kFormatName},
          {"version", kManifestVersion},
          {"unit", enum_name(manifest.unit)},
          {"block", manifest.block},
          {"num_blocks", manifest.num_blocks},
          {"first_layer", manifest.first_layer},
          {"end_layer", manifest.end_layer},
          {"sigma_low", manifest.sigma_low},
          {"sigma_high", manifest.sigma_high},
          {"step", manifest.step},
          {"recipe_fingerprint", manifest.recipe_fingerprint},
          {"frozen_hash", manifest.frozen_hash.hex()},
          {"files", files}};
}

// What is wrong with one file; empty if nothing.
std::string damage_of(FileSystem& file_system,
                      const std::filesystem::path& path,
                      const ManifestFile& file) {
  if (!file_system.exists(path)) {
    return fmt::format("missing file {}", path.string());
  }
  const uint64_t size = file_system.file_size(path);
  if (size != file.size_bytes) {
    return fmt::format("expected {} bytes, found {}: {}", file.size_bytes, size,
                       path.string());
  }
  Hasher hasher;
  file_system.read(path, [&](auto bytes) { hasher.update(bytes); });
  if (hasher.digest() != file.hash) {
    return fmt::format("expected hash {}, found {}: {}", file.hash.hex(),
                       hasher.digest().hex(), path.string());
  }
  return "";
}

}  // namespace

std::string manifest_text(const Manifest& manifest) {
  std::string body;
  try {
    body = to_json(manifest).dump(2);
  } catch (const Json::exception&) {
    throw CheckpointError(
        "[manifest] expected UTF-8, key \"recipe_fingerprint\"");
  }
  body.resize(body.size() - 2);  // "\n}"
  body += ",\n";
  std::string text = body + tail_text(body);
  DBLOCKS_CHECK(parse_manifest(text, kManifestName) == manifest,
                CheckpointError, "[manifest] does not survive writing");
  return text;
}

Manifest parse_manifest(std::string_view text,
                        const std::filesystem::path& path) {
  const std::string shown = path.string();
  const Json json = parse_json(text, shown);
  const Reader reader(json, shown);
  check_version(reader, shown);
  check_checksum(text, shown);
  reader.allow_only({"format", "version", "unit", "block", "num_blocks",
                     "first_layer", "end_layer", "sigma_low", "sigma_high",
                     "step", "recipe_fingerprint", "frozen_hash", "files",
                     "checksum"});
  Manifest manifest{.unit = parse_unit(reader),
                    .block = reader.count("block"),
                    .num_blocks = reader.count("num_blocks"),
                    .first_layer = reader.count("first_layer"),
                    .end_layer = reader.count("end_layer"),
                    .sigma_low = reader.number("sigma_low"),
                    .sigma_high = reader.number("sigma_high"),
                    .step = reader.count("step"),
                    .recipe_fingerprint = reader.text("recipe_fingerprint"),
                    .frozen_hash = reader.hash("frozen_hash"),
                    .files = parse_files(reader, shown)};
  check_ranges(manifest, reader);
  return manifest;
}

Manifest read_manifest(FileSystem& file_system,
                       const std::filesystem::path& folder) {
  const auto path = folder / kManifestName;
  return parse_manifest(file_system.read_file(path, kMaxManifestBytes), path);
}

std::vector<std::string> find_damage(FileSystem& file_system,
                                     const std::filesystem::path& folder,
                                     const Manifest& manifest) {
  std::vector<std::string> damage;
  for (const ManifestFile& file : manifest.files) {
    std::string problem;
    try {
      problem = damage_of(file_system, folder / file.name, file);
    } catch (const CheckpointError& error) {
      problem = error.what();
    }
    if (!problem.empty()) {
      damage.push_back(problem);
    }
  }
  return damage;
}

Manifest verify_checkpoint(FileSystem& file_system,
                           const std::filesystem::path& folder) {
  Manifest manifest = read_manifest(file_system, folder);
  const auto damage = find_damage(file_system, folder, manifest);
  DBLOCKS_CHECK(damage.empty(), CheckpointError,
                "[verify_checkpoint] {}. Hint: an earlier checkpoint may be "
                "whole",
                fmt::join(damage, "; "));
  return manifest;
}

}  // namespace dblocks::checkpoint
