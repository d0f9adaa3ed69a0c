// SPDX-License-Identifier: Apache-2.0
// Reader and writer of safetensors files; docs/formats/safetensors.md holds the
// grammar, the order in which we write and the limits that the reader enforces.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dblocks/core/file_system.h"
#include "dblocks/core/hash.h"
#include "dblocks/core/mapped_file.h"
#include "dblocks/core/tensor_bytes.h"

namespace dblocks::checkpoint {

/// The strings that a file carries beside its tensors.
using Metadata = std::map<std::string, std::string>;

/// Limits of the reader, kept by the writer too.
inline constexpr uint64_t kMaxHeaderBytes = 4'000'000;
inline constexpr size_t kMaxTensors = 32'768;
inline constexpr size_t kMaxMetadataEntries = 4'096;
inline constexpr size_t kMaxDimensions = 32;

/// What was written: goes into the manifest.
struct WrittenFile {
  uint64_t size_bytes = 0;
  Hash128 hash;  ///< of all bytes of the file
};

/// A file whose bytes are written but may not be on the disk yet.
struct UnsyncedFile {
  WrittenFile written;
  std::unique_ptr<WritableFile> file;
};

/// Writes `tensors` to `path`, synced, without copying their bytes. The bytes
/// of the file depend only on the set of tensors and on `metadata`: the order
/// given does not matter.
///
/// *Errors*: CheckpointError if a name is empty, repeated, reserved or not
/// UTF-8, if a tensor's bytes do not fit its shape, or if a limit is exceeded;
/// nothing is written then. Errors of FileSystem otherwise.
WrittenFile write_safetensors(FileSystem& file_system,
                              const std::filesystem::path& path,
                              std::span<const TensorBytes> tensors,
                              const Metadata& metadata = {});

/// The same without the sync: the tensors are needed no longer.
UnsyncedFile write_unsynced_safetensors(FileSystem& file_system,
                                        const std::filesystem::path& path,
                                        std::span<const TensorBytes> tensors,
                                        const Metadata& metadata = {});

/// An open safetensors file. Opening checks the whole header against the file;
/// afterwards no view leaves the file. The data themselves are not read.
///
/// *Errors*: CheckpointError naming the file, the tensor or the offset, and the
/// reason.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  /// All tensors, sorted by name; their bytes are views into the file and live
  /// as long as this object. They need not be aligned in memory.
  std::span<const TensorBytes> tensors() const { return tensors_; }
  /// The tensor of that name, or nullptr.
  const TensorBytes* find(std::string_view name) const;
  /// The tensor of that name. *Errors*: CheckpointError if there is none.
  const TensorBytes& at(std::string_view name) const;
  const Metadata& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  MappedFile file_;
  std::vector<TensorBytes> tensors_;
  Metadata metadata_;
};

}  // namespace dblocks::checkpoint
