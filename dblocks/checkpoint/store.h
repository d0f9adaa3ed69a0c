// SPDX-License-Identifier: Apache-2.0
// A folder of checkpoints, one folder per step. A commit is written beside them
// as tmp_step_N, then each file synced, the manifest last, then the folder
// synced, renamed to step_N, and the parent synced. A crash at any moment
// therefore leaves either the old or the new checkpoint as the newest, never a
// mixture. A checkpoint to be removed is renamed to tmp_old_step_N first.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "dblocks/checkpoint/manifest.h"
#include "dblocks/checkpoint/safetensors.h"
#include "dblocks/core/file_system.h"
#include "dblocks/core/tensor_bytes.h"

namespace dblocks::checkpoint {

/// The usual files of a checkpoint; averages only where they are kept.
inline constexpr const char* kWeightsName = "weights.safetensors";
inline constexpr const char* kOptimizerName = "optimizer.safetensors";
/// Of the first and the second running average.
inline constexpr std::array<const char*, 2> kEmaNames = {
    "ema.safetensors", "ema_second.safetensors"};
inline constexpr const char* kStateName = "state.json";

/// A file to be committed: a name and a function that writes it.
struct CheckpointFile {
  std::string name;
  std::function<UnsyncedFile(FileSystem&, const std::filesystem::path&)> write;
};

/// A safetensors file. The tensors' bytes must live until stage() or commit()
/// returns.
CheckpointFile tensor_file(std::string name,
                           std::vector<TensorBytes> tensors,
                           Metadata metadata = {});
/// A file holding `text`.
CheckpointFile text_file(std::string name, std::string text);

/// A checkpoint on disk.
struct Checkpoint {
  int64_t step = 0;
  std::filesystem::path folder;
  Manifest manifest;
};

/// A folder that looks like a checkpoint and is not a good one.
struct RejectedCheckpoint {
  std::filesystem::path folder;
  std::string reason;
};

/// What newest_verified() found.
struct NewestCheckpoint {
  std::optional<Checkpoint> checkpoint;
  /// Newer ones that were passed over, newest first.
  std::vector<RejectedCheckpoint> rejected;
};

/// The checkpoints of one unit. Reading changes nothing on disk; only the
/// process that holds the Lease may commit or remove.
///
/// *Threads*: one at a time.
class CheckpointStore {
 public:
  /// `folder` is created by the first commit. `keep`: how many complete
  /// checkpoints to keep at least. *Errors*: ConfigError if keep < 2: with one,
  /// a damaged file would be the end of the run.
  CheckpointStore(FileSystem& file_system,
                  std::filesystem::path folder,
                  int64_t keep = 2);

  /// Removes what killed commits left behind. Call once, when a run starts.
  void remove_leftovers();

  /// Exempts the checkpoint of `step` from pruning.
  void pin(int64_t step) { pinned_.insert(step); }

  /// Writes a checkpoint and returns once it is durable, then prunes. `step`
  /// and `files` of `manifest` are filled in here. If a good checkpoint of this
  /// step exists already, it is returned; a damaged one is replaced.
  ///
  /// *Errors*: those of FileSystem and of the files; CheckpointError if the
  /// step holds a good checkpoint of another recipe or unit. After an error the
  /// earlier checkpoints are untouched and the partial one is removed, at the
  /// latest by remove_leftovers(). A failure to prune is logged, not thrown.
  Checkpoint commit(int64_t step,
                    std::span<const CheckpointFile> files,
                    Manifest manifest);

  /// commit() in two parts: writes the files and returns without waiting for
  /// the disk; what is returned does the rest, once, on any thread. Until it is
  /// done the store may not be used; not calling it leaves a partial checkpoint
  /// for remove_leftovers(). *Errors*: those of commit(), in either part.
  std::function<Checkpoint()> stage(int64_t step,
                                    std::span<const CheckpointFile> files,
                                    Manifest manifest);

  /// The newest checkpoint whose every file matches its manifest. The ones
  /// passed over are logged as warnings too. Not an error if there is none.
  NewestCheckpoint newest_verified();

  /// The checkpoint of `step`, verified; nothing if there is no such folder.
  /// *Errors*: CheckpointError if it is damaged.
  std::optional<Checkpoint> find(int64_t step);

  /// Steps that have a folder, ascending; not verified.
  std::vector<int64_t> steps();

  const std::filesystem::path& folder() const { return folder_; }
  /// Where the checkpoint of `step` lives: folder()/step_000012000.
  std::filesystem::path step_folder(int64_t step) const;

 private:
  Checkpoint load(int64_t step);
  bool is_good(int64_t step);
  std::optional<Checkpoint> already_done(int64_t step, const Manifest& wanted);
  struct StagedCheckpoint {
    Checkpoint checkpoint;
    std::filesystem::path temporary;
    std::vector<std::unique_ptr<WritableFile>> files;
  };
  void write_folder(std::span<const CheckpointFile> files,
                    StagedCheckpoint& staged);
  void sync(const StagedCheckpoint& staged);
  void publish(const std::filesystem::path& temporary, int64_t step);
  void prune(int64_t newest);
  void discard(int64_t step);
  void remove_quietly(const std::filesystem::path& path);

  FileSystem& file_system_;
  std::filesystem::path folder_;
  int64_t keep_;
  std::set<int64_t> pinned_;
  std::map<int64_t, bool> is_good_;  // what verifying has told so far
};

}  // namespace dblocks::checkpoint
