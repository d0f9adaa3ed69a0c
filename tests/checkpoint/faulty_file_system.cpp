// SPDX-License-Identifier: Apache-2.0
#include "tests/checkpoint/faulty_file_system.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <random>
#include <set>
#include <utility>

namespace dblocks::testing {

using std::filesystem::path;

class FaultyFile : public WritableFile {
 public:
  FaultyFile(FaultyFileSystem& owner, path file)
      : owner_(owner),
        path_(std::move(file)),
        stream_(path_, std::ios::binary | std::ios::trunc) {}

  void append(std::span<const std::byte> bytes) override {
    const auto act = owner_.begin(/*needs_space=*/true);
    const bool whole = act == FaultyFileSystem::Act::kAll;
    stream_.write(
        reinterpret_cast<const char*>(bytes.data()),
        static_cast<std::streamsize>(whole ? bytes.size() : bytes.size() / 2));
    stream_.flush();
    FaultyFileSystem::end(act, path_);
  }

  void sync_and_close() override {
    FaultyFileSystem::end(owner_.begin(/*needs_space=*/false), path_);
    stream_.close();
    owner_.unsynced_.erase(path_.string());
  }

 private:
  FaultyFileSystem& owner_;
  path path_;
  std::ofstream stream_;
};

FaultyFileSystem::FaultyFileSystem(path graveyard)
    : graveyard_(std::move(graveyard)) {
  std::filesystem::create_directories(graveyard_);
}

void FaultyFileSystem::arm(Fault fault, int64_t operation) {
  fault_ = fault;
  fault_at_ = operation;
  count_ = 0;
}

void FaultyFileSystem::check_alive() const {
  if (is_dead_) {
    throw Crash();
  }
}

FaultyFileSystem::Act FaultyFileSystem::begin(bool needs_space) {
  check_alive();
  const int64_t operation = count_++;
  if (fault_ == Fault::kDiskFull && operation >= fault_at_ && needs_space) {
    return Act::kHalfThenFull;
  }
  if (operation != fault_at_) {
    return Act::kAll;
  }
  is_dead_ = fault_ == Fault::kCrash;
  return fault_ == Fault::kCrash  ? Act::kHalfThenCrash
         : fault_ == Fault::kFail ? Act::kHalfThenFail
                                  : Act::kAll;
}

void FaultyFileSystem::end(Act act, const path& file) {
  if (act == Act::kHalfThenCrash) {
    throw Crash();
  }
  if (act != Act::kAll) {
    throw_file_error("use", file, act == Act::kHalfThenFull ? ENOSPC : EIO);
  }
}

std::unique_ptr<WritableFile> FaultyFileSystem::create(const path& file) {
  end(begin(/*needs_space=*/true), file);
  changes_.push_back({Change::kCreated, file.string(), ""});
  unsynced_[file.string()] = true;
  return std::make_unique<FaultyFile>(*this, file);
}

void FaultyFileSystem::rename(const path& from, const path& to) {
  end(begin(false), from);
  real_file_system().rename(from, to);
  move_paths(from.string(), to.string());
  changes_.push_back({Change::kRenamed, from.string(), to.string()});
}

void FaultyFileSystem::sync_folder(const path& folder) {
  end(begin(false), folder);
  std::erase_if(changes_, [&](const Change& change) {
    return path(change.from).parent_path() == folder;
  });
}

void FaultyFileSystem::make_folders(const path& folder) {
  end(begin(true), folder);
  std::filesystem::create_directories(folder);
  std::erase_if(changes_, [&](const Change& change) {
    return path(change.from).parent_path() == folder.parent_path();
  });
}

void FaultyFileSystem::remove_all(const path& file) {
  const Act act = begin(false);
  if (act != Act::kAll && std::filesystem::is_directory(file)) {
    const auto names = real_file_system().list(file);
    for (size_t i = 0; i < names.size() / 2; ++i) {
      std::filesystem::remove_all(file / names[i]);
    }
  }
  end(act, file);
  if (std::filesystem::exists(file)) {
    const path grave = graveyard_ / std::to_string(num_buried_++);
    std::filesystem::rename(file, grave);
    move_paths(file.string(), grave.string());
    changes_.push_back({Change::kRemoved, file.string(), grave.string()});
  }
}

std::vector<std::string> FaultyFileSystem::list(const path& folder) {
  check_alive();
  return real_file_system().list(folder);
}

bool FaultyFileSystem::exists(const path& file) {
  check_alive();
  return real_file_system().exists(file);
}

uint64_t FaultyFileSystem::file_size(const path& file) {
  check_alive();
  return real_file_system().file_size(file);
}

void FaultyFileSystem::read(const path& file, const ByteSink& sink) {
  check_alive();
  real_file_system().read(file, sink);
}

// After a rename, what is remembered of `from` and below is at `to`.
void FaultyFileSystem::move_paths(const std::string& from,
                                  const std::string& to) {
  const auto moved = [&](const std::string& name) {
    const bool is_below = name == from || name.starts_with(from + "/");
    return is_below ? to + name.substr(from.size()) : name;
  };
  for (Change& change : changes_) {
    if (change.kind == Change::kCreated) {
      change.from = moved(change.from);
    }
  }
  std::map<std::string, bool> unsynced;
  for (const auto& [name, value] : unsynced_) {
    unsynced[moved(name)] = value;
  }
  unsynced_ = std::move(unsynced);
}

void FaultyFileSystem::undo(const Change& change) {
  if (change.kind == Change::kCreated) {
    std::filesystem::remove_all(change.from);
    return;
  }
  std::filesystem::rename(change.to, change.from);
  move_paths(change.to, change.from);
}

void FaultyFileSystem::lose_unsynced(uint64_t seed) {
  std::mt19937_64 random(seed);
  for (const auto& [name, value] : unsynced_) {
    if ((seed == 0 || random() % 2 == 0) && std::filesystem::exists(name)) {
      std::filesystem::resize_file(name, 0);
    }
  }
  // The newest change first; in each folder, once one is kept, so are all
  // before it.
  std::set<path> settled;
  while (!changes_.empty()) {
    const Change change = changes_.back();
    changes_.pop_back();
    const path folder = path(change.from).parent_path();
    if (seed != 0 && random() % 2 == 0) {
      settled.insert(folder);
    }
    if (!settled.contains(folder)) {
      undo(change);
    }
  }
}

}  // namespace dblocks::testing
