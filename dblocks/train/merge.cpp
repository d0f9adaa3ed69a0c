// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "dblocks/core/error.h"
#include "dblocks/report/event_log.h"
#include "dblocks/train/run_reader.h"

namespace dblocks::train {
namespace {

using checkpoint::Checkpoint;

struct Found {
  Checkpoint checkpoint;
  std::filesystem::path run;
};

void check_finished(const Found& found, const RunSetup& setup, int64_t unit) {
  DBLOCKS_CHECK(found.checkpoint.step == setup.train.steps, CheckpointError,
                "[merge] {}: expected block {} to be finished at step {}, "
                "found it at step {}. Hint: train it to its end",
                found.run.string(), unit, setup.train.steps,
                found.checkpoint.step);
}

/// One block must not come in two versions.
void check_same(const Found& first, const Found& second, int64_t unit) {
  DBLOCKS_CHECK(first.checkpoint.manifest == second.checkpoint.manifest,
                CheckpointError,
                "[merge] expected one version of block {}, found different "
                "ones in {} and {}",
                unit, first.run.string(), second.run.string());
}

void check_fits(const Found& found,
                const Found& reference,
                const tasks::Task& task,
                int64_t unit) {
  const checkpoint::Manifest& m = found.checkpoint.manifest;
  DBLOCKS_CHECK(
      m.block == unit && m.num_blocks == task.num_units() &&
          m.first_layer == task.layers(unit).first &&
          m.end_layer == task.layers(unit).last,
      CheckpointError,
      "[merge] {}: expected block {} of {} with layers {} to {}, found block "
      "{} of {} with layers {} to {}",
      found.run.string(), unit, task.num_units(), task.layers(unit).first,
      task.layers(unit).last, m.block, m.num_blocks, m.first_layer,
      m.end_layer);
  DBLOCKS_CHECK(
      m.frozen_hash == reference.checkpoint.manifest.frozen_hash,
      CheckpointError,
      "[merge] expected the same frozen parts in every block, found {} in {} "
      "and {} in {}",
      reference.checkpoint.manifest.frozen_hash.hex(), reference.run.string(),
      m.frozen_hash.hex(), found.run.string());
}

std::vector<std::optional<Found>> find_blocks(
    const RunSetup& setup,
    const std::vector<RunFolder>& from,
    int64_t num_units) {
  std::vector<std::optional<Found>> blocks(num_units);
  for (const RunFolder& run : from) {
    const RunCheckpoints found = find_checkpoints(run, setup, num_units);
    for (int64_t unit = 0; unit < num_units; ++unit) {
      if (!found.units[unit]) {
        continue;
      }
      Found candidate{*found.units[unit], run.root()};
      check_finished(candidate, setup, unit);
      if (blocks[unit]) {
        check_same(*blocks[unit], candidate, unit);
      } else {
        blocks[unit] = std::move(candidate);
      }
    }
  }
  return blocks;
}

void copy_block(const Found& found, const RunFolder& into, int64_t unit) {
  FileSystem& disk = real_file_system();
  disk.make_folders(into.checkpoints(unit));
  std::filesystem::copy(
      found.checkpoint.folder,
      into.checkpoints(unit) / found.checkpoint.folder.filename(),
      std::filesystem::copy_options::recursive);
  const std::filesystem::path log = RunFolder(found.run).log(unit);
  if (disk.exists(log)) {
    std::filesystem::copy_file(log, into.log(unit));
  }
  for (const std::filesystem::path& events :
       report::event_files(RunFolder(found.run).unit(unit))) {
    std::filesystem::copy_file(events, into.unit(unit) / events.filename());
  }
}

}  // namespace

void merge_runs(const RunSetup& setup,
                const std::vector<RunFolder>& from,
                const RunFolder& into) {
  DBLOCKS_CHECK(!setup.has_shared_parts(), ConfigError,
                "[merge] expected blocks that own all they train, found "
                "shared parts in blocks.ownership");
  const std::unique_ptr<tasks::Task> task = tasks::make_task(setup.task);
  const auto blocks = find_blocks(setup, from, task->num_units());
  for (int64_t unit = 0; unit < task->num_units(); ++unit) {
    DBLOCKS_CHECK(blocks[unit], CheckpointError,
                  "[merge] expected block {} in one of the {} runs, found it "
                  "in none",
                  unit, from.size());
    check_fits(*blocks[unit], *blocks[0], *task, unit);
  }
  try {
    for (int64_t unit = 0; unit < task->num_units(); ++unit) {
      copy_block(*blocks[unit], into, unit);
    }
  } catch (const std::filesystem::filesystem_error& error) {
    throw_file_error("copy into", into.root(), error.code().value());
  }
}

}  // namespace dblocks::train
