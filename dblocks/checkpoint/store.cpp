// SPDX-License-Identifier: Apache-2.0
#include "dblocks/checkpoint/store.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "dblocks/core/error.h"
#include "dblocks/core/log.h"

namespace dblocks::checkpoint {
namespace {

constexpr std::string_view kStepPrefix = "step_";
constexpr std::string_view kTemporaryPrefix = "tmp_";

std::string step_name(int64_t step) {
  return fmt::format("{}{:09}", kStepPrefix, step);
}

// The inverse of step_name(); nothing for names of anything else.
std::optional<int64_t> step_of(std::string_view name) {
  if (!name.starts_with(kStepPrefix)) {
    return std::nullopt;
  }
  const std::string_view digits = name.substr(kStepPrefix.size());
  int64_t step = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), step);
  return step >= 0 && step_name(step) == name ? std::optional(step)
                                              : std::nullopt;
}

bool is_same_unit(Manifest a, Manifest b) {
  a.files.clear();
  b.files.clear();
  return a == b;
}

}  // namespace

CheckpointFile tensor_file(std::string name,
                           std::vector<TensorBytes> tensors,
                           Metadata metadata) {
  return {std::move(name),
          [tensors = std::move(tensors), metadata = std::move(metadata)](
              FileSystem& file_system, const std::filesystem::path& path) {
            return write_unsynced_safetensors(file_system, path, tensors,
                                              metadata);
          }};
}

CheckpointFile text_file(std::string name, std::string text) {
  return {
      std::move(name),
      [text = std::move(text)](FileSystem& file_system,
                               const std::filesystem::path& path) {
        auto file = file_system.create(path);
        file->append(std::as_bytes(std::span(text)));
        return UnsyncedFile{{text.size(), hash_bytes(text)}, std::move(file)};
      }};
}

CheckpointStore::CheckpointStore(FileSystem& file_system,
                                 std::filesystem::path folder,
                                 int64_t keep)
    : file_system_(file_system), folder_(std::move(folder)), keep_(keep) {
  DBLOCKS_CHECK(keep >= 2, ConfigError,
                "[store] expected to keep at least 2 checkpoints, found {}, "
                "key \"checkpoint.keep\"",
                keep);
}

std::filesystem::path CheckpointStore::step_folder(int64_t step) const {
  return folder_ / step_name(step);
}

std::vector<int64_t> CheckpointStore::steps() {
  std::vector<int64_t> steps;
  if (!file_system_.exists(folder_)) {
    return steps;
  }
  for (const std::string& name : file_system_.list(folder_)) {
    if (const auto step = step_of(name)) {
      steps.push_back(*step);
    }
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

void CheckpointStore::remove_leftovers() {
  if (!file_system_.exists(folder_)) {
    return;
  }
  for (const std::string& name : file_system_.list(folder_)) {
    if (name.starts_with(kTemporaryPrefix)) {
      file_system_.remove_all(folder_ / name);
    }
  }
}

Checkpoint CheckpointStore::load(int64_t step) {
  is_good_[step] = false;
  Checkpoint checkpoint{step, step_folder(step), {}};
  checkpoint.manifest = verify_checkpoint(file_system_, checkpoint.folder);
  DBLOCKS_CHECK(checkpoint.manifest.step == step, CheckpointError,
                "[store] expected step {}, found step {} in the manifest: {}",
                step, checkpoint.manifest.step, checkpoint.folder.string());
  is_good_[step] = true;
  return checkpoint;
}

bool CheckpointStore::is_good(int64_t step) {
  if (!is_good_.contains(step)) {
    try {
      load(step);
    } catch (const CheckpointError& error) {
      log().warn("[store] rejected a checkpoint: {}", error.what());
    }
  }
  return is_good_[step];
}

NewestCheckpoint CheckpointStore::newest_verified() {
  NewestCheckpoint newest;
  std::vector<int64_t> found = steps();
  std::reverse(found.begin(), found.end());
  for (const int64_t step : found) {
    try {
      newest.checkpoint = load(step);
      break;
    } catch (const CheckpointError& error) {
      log().warn("[store] rejected a checkpoint: {}", error.what());
      newest.rejected.push_back({step_folder(step), error.what()});
    }
  }
  return newest;
}

std::optional<Checkpoint> CheckpointStore::find(int64_t step) {
  if (!file_system_.exists(step_folder(step))) {
    return std::nullopt;
  }
  return load(step);
}

// The checkpoint of this step if it needs no commit any more; nothing if it is
// missing or damaged.
std::optional<Checkpoint> CheckpointStore::already_done(
    int64_t step, const Manifest& wanted) {
  std::optional<Checkpoint> found;
  try {
    found = find(step);
  } catch (const CheckpointError& error) {
    log().warn("[store] replacing a damaged checkpoint: {}", error.what());
  }
  DBLOCKS_CHECK(!found || is_same_unit(found->manifest, wanted),
                CheckpointError,
                "[store] expected no checkpoint of another recipe or unit, "
                "found one: {}. Hint: use another run folder",
                step_folder(step).string());
  return found;
}

Checkpoint CheckpointStore::commit(int64_t step,
                                   std::span<const CheckpointFile> files,
                                   Manifest manifest) {
  return stage(step, files, std::move(manifest))();
}

std::function<Checkpoint()> CheckpointStore::stage(
    int64_t step, std::span<const CheckpointFile> files, Manifest manifest) {
  DBLOCKS_CHECK(step >= 0, CheckpointError,
                "[store] expected a step >= 0, found {}", step);
  manifest.step = step;
  if (auto found = already_done(step, manifest)) {
    return [found = std::move(*found)] { return found; };
  }
  file_system_.make_folders(folder_);
  // Shared, because a std::function has to be copyable.
  const auto staged = std::make_shared<StagedCheckpoint>();
  staged->checkpoint = {step, step_folder(step), std::move(manifest)};
  staged->temporary =
      folder_ / fmt::format("{}{}", kTemporaryPrefix, step_name(step));
  try {
    write_folder(files, *staged);
  } catch (const Error&) {
    remove_quietly(staged->temporary);
    throw;
  }
  return [this, staged, step] {
    try {
      sync(*staged);
      publish(staged->temporary, step);
    } catch (const Error&) {
      remove_quietly(staged->temporary);
      throw;
    }
    is_good_[step] = true;
    try {
      prune(step);
    } catch (const Error& error) {
      log().warn("[store] old checkpoints stay for now: {}", error.what());
    }
    return std::move(staged->checkpoint);
  };
}

void CheckpointStore::write_folder(std::span<const CheckpointFile> files,
                                   StagedCheckpoint& staged) {
  file_system_.remove_all(staged.temporary);
  file_system_.make_folders(staged.temporary);
  std::vector<ManifestFile>& listed = staged.checkpoint.manifest.files;
  listed.clear();
  for (const CheckpointFile& file : files) {
    UnsyncedFile unsynced =
        file.write(file_system_, staged.temporary / file.name);
    listed.push_back(
        {file.name, unsynced.written.size_bytes, unsynced.written.hash});
    staged.files.push_back(std::move(unsynced.file));
  }
}

void CheckpointStore::sync(const StagedCheckpoint& staged) {
  for (const std::unique_ptr<WritableFile>& file : staged.files) {
    file->sync_and_close();
  }
  file_system_.write_file(staged.temporary / kManifestName,
                          manifest_text(staged.checkpoint.manifest));
  file_system_.sync_folder(staged.temporary);
}

void CheckpointStore::publish(const std::filesystem::path& temporary,
                              int64_t step) {
  const auto final_folder = step_folder(step);
  if (file_system_.exists(final_folder)) {
    discard(step);  // damaged, or commit() would have stopped
  }
  file_system_.rename(temporary, final_folder);
  try {
    file_system_.sync_folder(folder_);
  } catch (const Error&) {
    // Not durable, so it must not look as if it were.
    remove_quietly(final_folder);
    throw;
  }
}

void CheckpointStore::prune(int64_t newest) {
  std::vector<int64_t> found = steps();
  std::reverse(found.begin(), found.end());
  int64_t kept = 1;  // `newest`, which may not be the highest step
  for (const int64_t step : found) {
    if (step == newest || pinned_.contains(step)) {
      continue;
    }
    if (kept < keep_) {
      kept += is_good(step) ? 1 : 0;
    } else {
      discard(step);
    }
  }
}

// Renamed first: a folder named step_N is never half removed.
void CheckpointStore::discard(int64_t step) {
  const auto old =
      folder_ / fmt::format("{}old_{}", kTemporaryPrefix, step_name(step));
  file_system_.remove_all(old);
  file_system_.rename(step_folder(step), old);
  file_system_.sync_folder(folder_);
  file_system_.remove_all(old);
  is_good_.erase(step);
}

void CheckpointStore::remove_quietly(const std::filesystem::path& path) {
  try {
    file_system_.remove_all(path);
  } catch (const Error& error) {
    log().warn("[store] a partial checkpoint stays for now: {}", error.what());
  }
}

}  // namespace dblocks::checkpoint
