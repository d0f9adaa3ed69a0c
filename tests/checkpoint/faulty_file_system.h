// SPDX-License-Identifier: Apache-2.0
// A file system for tests. It works on real files, and
// - stops at a chosen operation, in one of several ways;
// - never syncs, but remembers what was not synced and can forget it, as a
//   machine that lost power would.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "dblocks/core/file_system.h"

namespace dblocks::testing {

enum class Fault {
  kNone,
  kFail,      ///< one operation fails; a write leaves half of its bytes
  kDiskFull,  ///< from there on every write fails with no space
  kCrash,     ///< the process is dead from there on: everything throws Crash
};

/// Not an Error: nothing that cleans up after errors may catch it.
struct Crash {};

class FaultyFileSystem : public FileSystem {
 public:
  /// Keeps removed files in `graveyard` until their removal is synced.
  explicit FaultyFileSystem(std::filesystem::path graveyard);

  /// Makes operation number `operation` (counting from 0, from now on, only
  /// those that change something) meet `fault`.
  void arm(Fault fault, int64_t operation);
  int64_t num_operations() const { return count_; }

  /// Forgets unsynced contents and names: everything with seed 0; with other
  /// seeds, in each folder, the names changed after a random moment, and a
  /// random half of the contents.
  void lose_unsynced(uint64_t seed);

  std::unique_ptr<WritableFile> create(
      const std::filesystem::path& path) override;
  void rename(const std::filesystem::path& from,
              const std::filesystem::path& to) override;
  void sync_folder(const std::filesystem::path& folder) override;
  void make_folders(const std::filesystem::path& folder) override;
  std::vector<std::string> list(const std::filesystem::path& folder) override;
  void remove_all(const std::filesystem::path& path) override;
  bool exists(const std::filesystem::path& path) override;
  uint64_t file_size(const std::filesystem::path& path) override;
  void read(const std::filesystem::path& path, const ByteSink& sink) override;

 private:
  friend class FaultyFile;

  // A change of names that was not synced.
  struct Change {
    enum Kind { kCreated, kRenamed, kRemoved } kind;
    std::string from;
    std::string to;
  };

  // What an operation has to do.
  enum class Act { kAll, kHalfThenCrash, kHalfThenFail, kHalfThenFull };

  Act begin(bool needs_space);
  static void end(Act act, const std::filesystem::path& path);
  void check_alive() const;
  void move_paths(const std::string& from, const std::string& to);
  void undo(const Change& change);

  std::filesystem::path graveyard_;
  Fault fault_ = Fault::kNone;
  int64_t fault_at_ = 0;
  int64_t count_ = 0;
  int64_t num_buried_ = 0;
  bool is_dead_ = false;
  std::vector<Change> changes_;
  std::map<std::string, bool> unsynced_;  // contents, by path
};

}  // namespace dblocks::testing
