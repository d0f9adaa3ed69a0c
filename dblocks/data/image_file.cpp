// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/image_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <memory>

#include "dblocks/core/error.h"
#include "dblocks/core/file_descriptor.h"
#include "dblocks/data/image_decoder.h"
#include "dblocks/data/orientation.h"

namespace dblocks::data {

namespace internal {

void check_size(const char* where,
                int64_t rows,
                int64_t columns,
                const std::string& name) {
  DBLOCKS_CHECK(rows >= 1 && columns >= 1 && rows <= kMaxSide &&
                    columns <= kMaxSide && rows * columns <= kMaxPixels,
                DataError,
                "[{}] expected at most {} pixels and {} on a side, found {} x "
                "{}: {}",
                where, kMaxPixels, kMaxSide, rows, columns, name);
}

}  // namespace internal

namespace {

constexpr off_t kMaxFileBytes = off_t{64} << 20;
constexpr std::array<uint8_t, 8> kPngStart = {0x89, 'P',  'N',  'G',
                                              '\r', '\n', 0x1a, '\n'};
constexpr std::array<uint8_t, 3> kJpegStart = {0xff, 0xd8, 0xff};

template <size_t kSize>
bool starts_with(std::span<const uint8_t> file,
                 const std::array<uint8_t, kSize>& start) {
  return file.size() >= kSize &&
         std::equal(start.begin(), start.end(), file.begin());
}

std::unique_ptr<internal::ImageDecoder> open_image(
    std::span<const uint8_t> file, const std::string& name) {
  if (starts_with(file, kPngStart)) {
    return internal::open_png(file, name);
  }
  DBLOCKS_CHECK(starts_with(file, kJpegStart), DataError,
                "[read_image] expected a PNG or JPEG image, found {}: {}",
                file.empty() ? "an empty file" : "another kind of file", name);
  return internal::open_jpeg(file, name);
}

std::vector<uint8_t> read_bytes(const std::filesystem::path& path) {
  // Without O_NONBLOCK opening a named pipe would wait for a writer.
  const dblocks::internal::FileDescriptor file(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  DBLOCKS_CHECK(file.number() >= 0, DataError,
                "[read_image] cannot open {}: {}", path.string(),
                std::strerror(errno));
  struct stat status {};
  DBLOCKS_CHECK(::fstat(file.number(), &status) == 0 &&
                    S_ISREG(status.st_mode) && status.st_size <= kMaxFileBytes,
                DataError,
                "[read_image] expected a file of at most {} bytes, found "
                "another kind or more: {}",
                kMaxFileBytes, path.string());
  std::vector<uint8_t> bytes(static_cast<size_t>(status.st_size));
  size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t count =
        ::read(file.number(), bytes.data() + size, bytes.size() - size);
    DBLOCKS_CHECK(count >= 0 || errno == EINTR, DataError,
                  "[read_image] cannot read {}: {}", path.string(),
                  std::strerror(errno));
    if (count == 0) {
      break;
    }
    size += count > 0 ? static_cast<size_t>(count) : 0;
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace

View centred_view(int64_t image_rows,
                  int64_t image_columns,
                  int64_t rows,
                  int64_t columns) {
  View view{{.rows = image_rows, .columns = image_columns}, rows, columns};
  const double wanted =
      static_cast<double>(columns) / static_cast<double>(rows);
  const double found =
      static_cast<double>(image_columns) / static_cast<double>(image_rows);
  if (found > wanted) {
    view.box.columns = std::max<int64_t>(
        1, std::lrint(static_cast<double>(image_rows) * wanted));
  } else {
    view.box.rows = std::max<int64_t>(
        1, std::lrint(static_cast<double>(image_columns) / wanted));
  }
  view.box.top = (image_rows - view.box.rows) / 2;
  view.box.left = (image_columns - view.box.columns) / 2;
  return view;
}

void decode_image(std::span<const uint8_t> file,
                  const std::string& name,
                  int64_t channels,
                  const ChooseView& choose,
                  Image& out) {
  const auto decoder = open_image(file, name);
  const int orientation = decoder->orientation();
  const bool exchanged = exchanges_sides(orientation);
  const int64_t rows = decoder->rows();
  const int64_t columns = decoder->columns();
  const View view = exchanged ? choose(columns, rows) : choose(rows, columns);
  Image part;
  decoder->decode(stored_box(view.box, orientation, rows, columns),
                  exchanged ? view.columns : view.rows,
                  exchanged ? view.rows : view.columns, channels, part);
  orient(part, orientation, out);
  if (part.rows == view.rows && part.columns == view.columns) {
    std::swap(part, out);
    return;
  }
  resized_crop(part, {.rows = part.rows, .columns = part.columns}, view.rows,
               view.columns, out);
}

void read_image(const std::filesystem::path& path,
                int64_t channels,
                const ChooseView& choose,
                Image& out) {
  decode_image(read_bytes(path), path.string(), channels, choose, out);
}

}  // namespace dblocks::data
