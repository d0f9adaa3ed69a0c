// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/npz.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "dblocks/core/error.h"
#include "dblocks/core/file_system.h"
#include "dblocks/data/npy_header.h"

namespace dblocks::data {
namespace {

/// What stands in front of the numbers in a .npy file, format 1.0.
std::string npy_header(const NpyArray& array) {
  std::string shape = fmt::format("{}", fmt::join(array.shape, ", "));
  if (array.shape.size() == 1) {
    shape += ",";
  }
  std::string text =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                  array.dtype, shape);
  constexpr size_t kPrefix = 10, kAlignment = 64;
  const size_t length =
      (kPrefix + text.size() + kAlignment) / kAlignment * kAlignment - kPrefix;
  text.resize(length - 1, ' ');
  text += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(length & 0xff);
  header += static_cast<char>(length >> 8);
  return header + text;
}

class ZipFile {
 public:
  explicit ZipFile(const std::filesystem::path& path) : path_(path) {
    check(archive_write_set_format_zip(archive_.get()));
    check(archive_write_set_options(archive_.get(), "zip:compression=store"));
    check(archive_write_open_filename(archive_.get(), path.c_str()));
  }

  void add(const std::string& name,
           const std::string& header,
           std::span<const std::byte> bytes) {
    archive_entry_clear(entry_.get());
    archive_entry_set_pathname(entry_.get(), name.c_str());
    archive_entry_set_filetype(entry_.get(), AE_IFREG);
    archive_entry_set_perm(entry_.get(), 0644);
    // The first day of ZIP, so that equal arrays make equal files.
    constexpr time_t kDay = 315532800 + 86400;
    archive_entry_set_mtime(entry_.get(), kDay, 0);
    archive_entry_set_size(entry_.get(),
                           static_cast<int64_t>(header.size() + bytes.size()));
    check(archive_write_header(archive_.get(), entry_.get()));
    write(header.data(), header.size());
    write(bytes.data(), bytes.size());
  }

  void close() { check(archive_write_close(archive_.get())); }

 private:
  void write(const void* data, size_t size) {
    if (archive_write_data(archive_.get(), data, size) !=
        static_cast<la_ssize_t>(size)) {
      check(ARCHIVE_FATAL);
    }
  }

  void check(int code) const {
    if (code != ARCHIVE_OK) {
      throw_file_error("write", path_, archive_errno(archive_.get()));
    }
  }

  std::filesystem::path path_;
  std::unique_ptr<archive, int (*)(archive*)> archive_{archive_write_new(),
                                                       archive_write_free};
  std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry_{
      archive_entry_new(), archive_entry_free};
};

constexpr size_t kPieceBytes = size_t{1} << 16;
constexpr int64_t kMaxEntries = 1000;

/// Reads the entries of a ZIP file one after the other.
class ZipReader {
 public:
  ZipReader(const std::filesystem::path& path, const NpzLimits& limits)
      : path_(path), most_(most_bytes(path, limits)) {
    archive_read_support_format_zip(archive_.get());
    check(
        archive_read_open_filename(archive_.get(), path.c_str(), kPieceBytes));
  }

  /// The name of the next entry; nothing at the end.
  std::optional<std::string> next() {
    archive_entry* entry = nullptr;
    const int state = archive_read_next_header(archive_.get(), &entry);
    if (state == ARCHIVE_EOF) {
      return std::nullopt;
    }
    check(state);
    DBLOCKS_CHECK(++num_entries_ <= kMaxEntries, DataError,
                  "[read_npz] expected at most {} arrays, found more: {}",
                  kMaxEntries, path_.string());
    const char* name = archive_entry_pathname(entry);
    return name != nullptr ? name : "";
  }

  /// Adds the next bytes of the entry, up to `size` in all, to `bytes`.
  void read_up_to(size_t size, std::vector<std::byte>& bytes) {
    while (bytes.size() < size) {
      const size_t start = bytes.size();
      bytes.resize(std::min(size, start + kPieceBytes));
      const la_ssize_t count = archive_read_data(
          archive_.get(), bytes.data() + start, bytes.size() - start);
      check(count < 0 ? static_cast<int>(count) : ARCHIVE_OK);
      bytes.resize(start + static_cast<size_t>(count));
      unpacked_ += static_cast<uint64_t>(count);
      DBLOCKS_CHECK(unpacked_ <= most_, DataError,
                    "[read_npz] expected at most {} bytes in a file of this "
                    "size, found more: {}",
                    most_, path_.string());
      if (count == 0) {
        return;
      }
    }
  }

 private:
  static uint64_t most_bytes(const std::filesystem::path& path,
                             const NpzLimits& limits) {
    std::error_code error;
    const uint64_t size = std::filesystem::file_size(path, error);
    return limits.always_bytes + (error ? 0 : limits.max_ratio * size);
  }

  void check(int state) const {
    const char* details = archive_error_string(archive_.get());
    DBLOCKS_CHECK(state == ARCHIVE_OK, DataError,
                  "[read_npz] expected an archive of NumPy arrays, found "
                  "damage ({}): {}",
                  details != nullptr ? details : "no details", path_.string());
  }

  std::filesystem::path path_;
  std::unique_ptr<archive, int (*)(archive*)> archive_{archive_read_new(),
                                                       &archive_read_free};
  uint64_t most_;
  uint64_t unpacked_ = 0;
  int64_t num_entries_ = 0;
};

/// The array of the entry at hand.
NpyData read_array(ZipReader& zip, const std::string& where) {
  // Longer than any header; the first numbers come along.
  constexpr size_t kStart = 8192;
  std::vector<std::byte> bytes;
  zip.read_up_to(kStart, bytes);
  const NpyHeader header = parse_npy_header(bytes, where);
  const size_t size = header.num_elements * npy_element_bytes(header.dtype);
  bytes.erase(bytes.begin(),
              bytes.begin() + static_cast<std::ptrdiff_t>(header.size));
  // One byte more than there should be, to see that there is none.
  zip.read_up_to(size + 1, bytes);
  DBLOCKS_CHECK(bytes.size() == size, DataError,
                "[read_npz] expected {} bytes for the shape [{}], found {}: {}",
                size, fmt::join(header.shape, ", "),
                bytes.size() > size ? "more" : fmt::format("{}", bytes.size()),
                where);
  return {
      .dtype = header.dtype, .shape = header.shape, .bytes = std::move(bytes)};
}

}  // namespace

std::map<std::string, NpyData> read_npz(
    const std::filesystem::path& file,
    const std::vector<std::string>& names,
    const std::vector<std::string>& optional,
    const NpzLimits& limits) {
  const auto has = [](const std::vector<std::string>& list,
                      const std::string& name) {
    return std::ranges::find(list, name) != list.end();
  };
  ZipReader zip(file, limits);
  std::map<std::string, NpyData> arrays;
  while (const std::optional<std::string> entry = zip.next()) {
    const std::string name =
        entry->ends_with(".npy") ? entry->substr(0, entry->size() - 4) : "";
    if (!has(names, name) && !has(optional, name)) {
      continue;
    }
    const std::string where = fmt::format("{}, array {}", file.string(), name);
    DBLOCKS_CHECK(!arrays.contains(name), DataError,
                  "[read_npz] expected one array of each name, found two: {}",
                  where);
    arrays.emplace(name, read_array(zip, where));
  }
  for (const std::string& name : names) {
    DBLOCKS_CHECK(arrays.contains(name), DataError,
                  "[read_npz] expected an array {}, found none: {}", name,
                  file.string());
  }
  return arrays;
}

void write_npz(const std::filesystem::path& file,
               const std::vector<NpyArray>& arrays) {
  const std::filesystem::path temporary = file.string() + ".tmp";
  ZipFile zip(temporary);
  for (const NpyArray& array : arrays) {
    zip.add(array.name + ".npy", npy_header(array), array.bytes);
  }
  zip.close();
  real_file_system().rename(temporary, file);
}

}  // namespace dblocks::data
