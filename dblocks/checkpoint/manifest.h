// SPDX-License-Identifier: Apache-2.0
// manifest.json says what one checkpoint is and holds size and hash of each of
// its files. It is written last, so a folder with a manifest is whole.
// docs/formats/checkpoint.md holds the format.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dblocks/core/fields.h"
#include "dblocks/core/file_system.h"
#include "dblocks/core/hash.h"

namespace dblocks::checkpoint {

/// The version that this program writes, and the only one it reads.
inline constexpr int64_t kManifestVersion = 1;
inline constexpr std::string_view kManifestName = "manifest.json";

/// What a checkpoint holds the state of.
enum class UnitKind {
  kBlock,   ///< one block and the outer parts it owns
  kShared,  ///< outer parts that every block trains
  kModel,   ///< a whole network: a baseline, or merged blocks
};

inline constexpr auto kUnitKindNames =
    std::to_array<EnumName<UnitKind>>({{UnitKind::kBlock, "block"},
                                       {UnitKind::kShared, "shared"},
                                       {UnitKind::kModel, "model"}});
inline auto enum_names(UnitKind) {
  return std::span(kUnitKindNames);
}

/// One file of a checkpoint.
struct ManifestFile {
  std::string name;  ///< a plain file name: letters, digits, `_`, `-`, `.`
  uint64_t size_bytes = 0;
  Hash128 hash;

  bool operator==(const ManifestFile&) const = default;
};

/// The contents of manifest.json. Where a field has no meaning for the kind of
/// unit it is 0.
struct Manifest {
  UnitKind unit = UnitKind::kBlock;
  int64_t block = 0;       ///< which block; 0 is the noisiest
  int64_t num_blocks = 1;  ///< B of the run
  int64_t first_layer = 0;
  int64_t end_layer = 0;  ///< one past the last layer
  double sigma_low = 0;   ///< interval, in units of the data's deviation
  double sigma_high = 0;
  int64_t step = 0;                ///< optimiser steps of this unit
  std::string recipe_fingerprint;  ///< equal for runs that may be merged
  Hash128 frozen_hash;             ///< of the frozen outer parts; 0 if none
  std::vector<ManifestFile> files;

  bool operator==(const Manifest&) const = default;
};

/// The text of manifest.json, checksum included. *Errors*: CheckpointError if
/// parse_manifest() would refuse it.
std::string manifest_text(const Manifest& manifest);

/// The inverse of manifest_text(). `path` is used in messages only. *Errors*:
/// CheckpointError naming the file and the key: another version (the message
/// names both), an unknown, missing or repeated key, a value out of range, a
/// file name that leaves the folder, a wrong checksum.
Manifest parse_manifest(std::string_view text,
                        const std::filesystem::path& path);

/// Reads manifest.json of the checkpoint `folder`. *Errors*: as above, and
/// those of FileSystem.
Manifest read_manifest(FileSystem& file_system,
                       const std::filesystem::path& folder);

/// Hashes every file of `folder` and compares with `manifest`. Returns one
/// sentence per file that is missing, unreadable, of another size or damaged;
/// empty if all is well.
std::vector<std::string> find_damage(FileSystem& file_system,
                                     const std::filesystem::path& folder,
                                     const Manifest& manifest);

/// Reads the manifest and checks every file. *Errors*: CheckpointError naming
/// the folder and everything that is wrong.
Manifest verify_checkpoint(FileSystem& file_system,
                           const std::filesystem::path& folder);

}  // namespace dblocks::checkpoint
