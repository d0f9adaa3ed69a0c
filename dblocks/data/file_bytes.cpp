// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/file_bytes.h"

#include <zlib.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "dblocks/core/error.h"

namespace dblocks::data {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 18;
constexpr size_t kMaxTextBytes = size_t{16} << 20;
// windowBits of zlib: the largest window, gzip framing only.
constexpr int kGzipWindow = 15 + 16;

class File {
 public:
  explicit File(const std::filesystem::path& path)
      : path_(path), file_(std::fopen(path.c_str(), "rb"), &std::fclose) {
    DBLOCKS_CHECK(file_ != nullptr, DataError, "[read_file] cannot open {}: {}",
                  path.string(), std::strerror(errno));
  }

  size_t read(uint8_t* out, size_t size) {
    const size_t count = std::fread(out, 1, size, file_.get());
    DBLOCKS_CHECK(!std::ferror(file_.get()), DataError,
                  "[read_file] cannot read {}: {}", path_.string(),
                  std::strerror(errno));
    return count;
  }

 private:
  std::filesystem::path path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
};

class Inflater {
 public:
  Inflater() {
    DBLOCKS_ASSERT(inflateInit2(&stream_, kGzipWindow) == Z_OK,
                   "zlib does not start");
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  z_stream* operator->() { return &stream_; }
  int step() { return inflate(&stream_, Z_NO_FLUSH); }

 private:
  z_stream stream_{};
};

// Inflates from `first` bytes already read and then from `file`.
void inflate_file(const std::string& name,
                  File& file,
                  std::vector<uint8_t> in,
                  size_t available,
                  const ByteSink& sink) {
  Inflater inflater;
  std::vector<uint8_t> out(kPieceBytes);
  int state = Z_OK;
  while (available > 0) {
    inflater->next_in = in.data();
    inflater->avail_in = static_cast<uInt>(available);
    do {
      DBLOCKS_CHECK(state != Z_STREAM_END, DataError,
                    "[read_file] expected the end of the file after the gzip "
                    "data, found {} more bytes or more: {}",
                    inflater->avail_in, name);
      inflater->next_out = out.data();
      inflater->avail_out = static_cast<uInt>(out.size());
      state = inflater.step();
      DBLOCKS_CHECK(
          state == Z_OK || state == Z_STREAM_END || state == Z_BUF_ERROR,
          DataError, "[read_file] expected gzip data, found damage ({}): {}",
          inflater->msg != nullptr ? inflater->msg : "no details", name);
      const size_t made = out.size() - inflater->avail_out;
      if (made > 0 && !sink(out.data(), made)) {
        return;
      }
      // A full output buffer may hide more bytes even when the input is used
      // up.
    } while (inflater->avail_in > 0 ||
             (state == Z_OK && inflater->avail_out == 0));
    available = file.read(in.data(), in.size());
    DBLOCKS_CHECK(available == 0 || state != Z_STREAM_END, DataError,
                  "[read_file] expected the end of the file after the gzip "
                  "data, found {} more bytes or more: {}",
                  available, name);
  }
  DBLOCKS_CHECK(state == Z_STREAM_END, DataError,
                "[read_file] expected the end of the gzip data, found the end "
                "of the file after {} inflated bytes: {}. Hint: copy the file "
                "again.",
                inflater->total_out, name);
}

}  // namespace

void read_file(const std::filesystem::path& path, const ByteSink& sink) {
  File file(path);
  std::vector<uint8_t> piece(kPieceBytes);
  size_t size = file.read(piece.data(), piece.size());
  if (size >= 2 && piece[0] == 0x1f && piece[1] == 0x8b) {
    inflate_file(path.string(), file, std::move(piece), size, sink);
    return;
  }
  while (size > 0 && sink(piece.data(), size)) {
    size = file.read(piece.data(), piece.size());
  }
}

std::vector<uint8_t> read_file(const std::filesystem::path& path,
                               size_t max_bytes) {
  std::vector<uint8_t> content;
  read_file(path, [&](const uint8_t* bytes, size_t size) {
    DBLOCKS_CHECK(size <= max_bytes - content.size(), DataError,
                  "[read_file] expected at most {} bytes, found more: {}",
                  max_bytes, path.string());
    content.insert(content.end(), bytes, bytes + size);
    return true;
  });
  return content;
}

std::vector<std::string> read_lines(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  std::string line;
  for (const uint8_t byte : read_file(path, kMaxTextBytes)) {
    if (byte == '\n') {
      lines.push_back(std::move(line));
      line.clear();
    } else if (byte != '\r') {
      line.push_back(static_cast<char>(byte));
    }
  }
  if (!line.empty()) {
    lines.push_back(std::move(line));
  }
  while (!lines.empty() && lines.back().empty()) {
    lines.pop_back();
  }
  return lines;
}

}  // namespace dblocks::data
