// SPDX-License-Identifier: Apache-2.0
// What the tests of data/ share: temporary folders, made-up files, data sets.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "dblocks/data/dataset.h"

namespace dblocks::data::testing {

namespace fs = std::filesystem;
using Bytes = std::vector<uint8_t>;

/// A fresh folder that goes when the test does.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "dblocks.XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// Sets or clears an environment variable for the length of a test.
class EnvironmentVariable {
 public:
  EnvironmentVariable(const char* name, const std::string& value)
      : name_(name) {
    if (const char* old = std::getenv(name)) {
      old_ = old;
      was_set_ = true;
    }
    ::setenv(name, value.c_str(), 1);
  }
  ~EnvironmentVariable() {
    was_set_ ? ::setenv(name_, old_.c_str(), 1) : ::unsetenv(name_);
  }

 private:
  const char* name_;
  std::string old_;
  bool was_set_ = false;
};

inline void write_file(const fs::path& path, const Bytes& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(out.good()) << path;
}

inline void write_text(const fs::path& path, const std::string& text) {
  write_file(path, Bytes(text.begin(), text.end()));
}

inline Bytes gzip(const Bytes& bytes) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  Bytes out(deflateBound(&stream, bytes.size()));
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline Bytes from_hex(const std::string& text) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(
        static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

/// `size` images of noise in `classes` classes.
inline Dataset noise_dataset(int64_t size,
                             int64_t channels,
                             int64_t rows,
                             int64_t columns,
                             int64_t classes = 10) {
  DatasetInfo info{.name = "noise",
                   .channels = channels,
                   .rows = rows,
                   .columns = columns,
                   .class_names = std::vector<std::string>(
                       static_cast<size_t>(classes), "class"),
                   .mean = std::vector<double>(size_t(channels), 0.5),
                   .std = std::vector<double>(size_t(channels), 0.25)};
  std::vector<int64_t> labels;
  Bytes pixels;
  uint32_t state = 1;
  for (int64_t i = 0; i < size; ++i) {
    labels.push_back(i % classes);
    for (int64_t k = 0; k < info.pixel_bytes(); ++k) {
      state = state * 1664525u + 1013904223u;
      pixels.push_back(static_cast<uint8_t>(state >> 24));
    }
  }
  return Dataset(info, std::move(labels), std::move(pixels));
}

/// Message of the `ErrorType` that `action` throws; fails the test if none.
template <class ErrorType, class Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const ErrorType& error) {
    return error.what();
  }
  ADD_FAILURE() << "no error of the expected type";
  return "";
}

}  // namespace dblocks::data::testing
