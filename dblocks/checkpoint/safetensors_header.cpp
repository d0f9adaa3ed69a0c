// SPDX-License-Identifier: Apache-2.0
#include "dblocks/checkpoint/safetensors_header.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "dblocks/checkpoint/safetensors_format.h"
#include "dblocks/core/error.h"

namespace dblocks::checkpoint::internal {
namespace {

// Receives the tokens of the header one by one. What may come next depends on
// the place alone; anything else ends the parse, so nesting is bounded.
class HeaderParser : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderParser(const std::string& path) : path_(path) {}

  Header take() { return std::move(header_); }

  bool null() override { fail_unexpected("null"); }
  bool boolean(bool) override { fail_unexpected("a boolean"); }
  bool number_integer(number_integer_t) override {
    fail_unexpected("a negative number");
  }
  bool number_float(number_float_t, const string_t&) override {
    fail_unexpected("a fraction or a number beyond 64 bits");
  }
  bool binary(binary_t&) override { fail_unexpected("binary data"); }
  bool number_unsigned(number_unsigned_t value) override;
  bool string(string_t& value) override;
  bool start_object(size_t) override;
  bool key(string_t& value) override;
  bool end_object() override;
  bool start_array(size_t) override;
  bool end_array() override;
  bool parse_error(size_t position,
                   const std::string&,
                   const nlohmann::json::exception&) override {
    fail(fmt::format("header is not JSON at byte {}", kLengthBytes + position));
  }

 private:
  enum class Place { kStart, kRoot, kMetadata, kTensor, kArray, kEnd };

  [[noreturn]] void fail(const std::string& reason) const {
    throw CheckpointError(fmt::format("[safetensors] {}: {}", reason, path_));
  }
  [[noreturn]] void fail_tensor(const std::string& reason) const {
    fail(fmt::format("{}, tensor {}", reason,
                     printable(header_.entries.back().tensor.name)));
  }
  [[noreturn]] void fail_unexpected(const std::string& found) const;

  const std::string& path_;
  Header header_;
  Place place_ = Place::kStart;
  bool metadata_found_ = false;
  bool metadata_next_ = false;
  std::string key_;  // inside a tensor or the metadata
  bool dtype_found_ = false;
  bool shape_found_ = false;
  bool offsets_found_ = false;
  std::vector<uint64_t> numbers_;
};

void HeaderParser::fail_unexpected(const std::string& found) const {
  switch (place_) {
    case Place::kMetadata:
      fail(fmt::format("expected a string, found {}, metadata {}", found,
                       printable(key_)));
    case Place::kTensor:
    case Place::kArray:
      fail_tensor(fmt::format("expected a {}, found {}, key {}",
                              key_ == "dtype" ? "type name" : "list of sizes",
                              found, printable(key_)));
    default:
      fail(fmt::format("expected an object, found {} in the header", found));
  }
}

bool HeaderParser::number_unsigned(number_unsigned_t value) {
  if (place_ != Place::kArray) {
    fail_unexpected("a number");
  }
  if (numbers_.size() == kMaxDimensions) {
    fail_tensor(fmt::format("expected at most {} numbers, found more, key {}",
                            kMaxDimensions, printable(key_)));
  }
  if (value > uint64_t{std::numeric_limits<int64_t>::max()}) {
    fail_tensor(fmt::format("{} is too large, key {}", value, printable(key_)));
  }
  numbers_.push_back(value);
  return true;
}

bool HeaderParser::string(string_t& value) {
  if (place_ == Place::kMetadata) {
    header_.metadata[key_] = std::move(value);
    return true;
  }
  if (place_ != Place::kTensor || key_ != "dtype") {
    fail_unexpected("a string");
  }
  const auto dtype = dtype_from_name(value);
  if (!dtype) {
    fail_tensor(fmt::format("unknown dtype {}", printable(value)));
  }
  header_.entries.back().tensor.dtype = *dtype;
  return true;
}

bool HeaderParser::start_object(size_t) {
  if (place_ == Place::kStart) {
    place_ = Place::kRoot;
  } else if (place_ == Place::kRoot) {
    place_ = metadata_next_ ? Place::kMetadata : Place::kTensor;
  } else {
    fail_unexpected("an object");
  }
  return true;
}

bool HeaderParser::key(string_t& value) {
  if (place_ == Place::kRoot) {
    metadata_next_ = value == kMetadataKey;
    if (metadata_next_) {
      if (std::exchange(metadata_found_, true)) {
        fail("duplicate key __metadata__");
      }
      return true;
    }
    if (value.empty() || header_.entries.size() == kMaxTensors) {
      fail(value.empty() ? "a tensor has no name"
                         : fmt::format("more than {} tensors", kMaxTensors));
    }
    header_.entries.emplace_back().tensor.name = std::move(value);
    dtype_found_ = shape_found_ = offsets_found_ = false;
    return true;
  }
  key_ = std::move(value);
  if (place_ == Place::kMetadata) {
    if (header_.metadata.contains(key_)) {
      fail(fmt::format("duplicate metadata key {}", printable(key_)));
    }
    if (header_.metadata.size() == kMaxMetadataEntries) {
      fail(fmt::format("more than {} metadata entries", kMaxMetadataEntries));
    }
    return true;
  }
  bool* found = key_ == "dtype"          ? &dtype_found_
                : key_ == "shape"        ? &shape_found_
                : key_ == "data_offsets" ? &offsets_found_
                                         : nullptr;
  if (found == nullptr || std::exchange(*found, true)) {
    fail_tensor(fmt::format("{} key {}", found ? "duplicate" : "unknown",
                            printable(key_)));
  }
  return true;
}

bool HeaderParser::end_object() {
  if (place_ == Place::kTensor &&
      !(dtype_found_ && shape_found_ && offsets_found_)) {
    fail_tensor(fmt::format("missing key \"{}\"", !dtype_found_ ? "dtype"
                                                  : !shape_found_
                                                      ? "shape"
                                                      : "data_offsets"));
  }
  place_ = place_ == Place::kRoot ? Place::kEnd : Place::kRoot;
  return true;
}

bool HeaderParser::start_array(size_t) {
  if (place_ != Place::kTensor || key_ == "dtype") {
    fail_unexpected("a list");
  }
  place_ = Place::kArray;
  numbers_.clear();
  return true;
}

bool HeaderParser::end_array() {
  HeaderEntry& entry = header_.entries.back();
  place_ = Place::kTensor;
  if (key_ == "shape") {
    entry.tensor.shape.assign(numbers_.begin(), numbers_.end());
    return true;
  }
  if (numbers_.size() != 2) {
    fail_tensor(
        fmt::format("expected two data_offsets, found {}", numbers_.size()));
  }
  entry.begin = numbers_[0];
  entry.end = numbers_[1];
  return true;
}

}  // namespace

Header parse_header(std::string_view json, const std::string& path) {
  HeaderParser parser(path);
  nlohmann::json::sax_parse(json.begin(), json.end(), &parser);
  return parser.take();
}

}  // namespace dblocks::checkpoint::internal
