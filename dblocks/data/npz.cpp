// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/npz.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <memory>

#include "dblocks/core/error.h"
#include "dblocks/core/file_system.h"

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

}  // namespace

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
