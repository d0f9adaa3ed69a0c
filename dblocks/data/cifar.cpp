// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/cifar.h"

#include "dblocks/core/error.h"
#include "dblocks/data/file_bytes.h"

namespace dblocks::data {
namespace {

constexpr size_t kPixelBytes = 3 * 32 * 32;
constexpr size_t kMaxRecords = 100'000;

void add_records(const std::filesystem::path& path,
                 size_t label_bytes,
                 int64_t num_classes,
                 Samples& samples) {
  const size_t record_bytes = label_bytes + kPixelBytes;
  const std::vector<uint8_t> content =
      read_file(path, kMaxRecords * record_bytes);
  DBLOCKS_CHECK(
      !content.empty() && content.size() % record_bytes == 0, DataError,
      "[read_cifar] expected whole records of {} bytes, found a file "
      "of {} bytes: {}. Hint: the binary version is needed, complete.",
      record_bytes, content.size(), path.string());
  const size_t num_records = content.size() / record_bytes;
  samples.pixels.reserve(samples.pixels.size() + num_records * kPixelBytes);
  for (size_t start = 0; start < content.size(); start += record_bytes) {
    const int64_t label = content[start + label_bytes - 1];
    DBLOCKS_CHECK(label < num_classes, DataError,
                  "[read_cifar] expected labels below {}, found {} in record "
                  "{}: {}",
                  num_classes, label, start / record_bytes, path.string());
    samples.labels.push_back(label);
    const auto pixels =
        content.begin() + static_cast<ptrdiff_t>(start + label_bytes);
    samples.pixels.insert(samples.pixels.end(), pixels,
                          pixels + static_cast<ptrdiff_t>(kPixelBytes));
  }
}

}  // namespace

Samples read_cifar(std::span<const std::filesystem::path> paths,
                   int64_t label_bytes,
                   int64_t num_classes) {
  Samples samples;
  for (const std::filesystem::path& path : paths) {
    add_records(path, static_cast<size_t>(label_bytes), num_classes, samples);
  }
  return samples;
}

}  // namespace dblocks::data
