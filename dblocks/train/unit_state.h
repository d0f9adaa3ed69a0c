// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "dblocks/checkpoint/store.h"
#include "dblocks/core/flat_state.h"
#include "dblocks/core/hash.h"
#include "dblocks/optim/options.h"
#include "dblocks/tasks/unit.h"

namespace dblocks::train {

/// A state.json beyond this is refused before it is read.
inline constexpr uint64_t kMaxStateBytes = 1 << 20;

/// Sums over the steps since the last line of the log. Part of the state, so
/// that a resumed run logs what an uninterrupted one would.
struct LogWindow {
  double loss_sum = 0;
  int64_t num_correct = 0;
  int64_t num_samples = 0;
  int64_t num_steps = 0;
  int64_t num_bad = 0;       ///< steps that were skipped, in no other sum
  int64_t bad_in_a_row = 0;  ///< of them, since the last good step of all
};

/// A unit in memory with everything that training it changes: while this object
/// lives the unit is resident, and when it is destroyed nothing of it is left.
class UnitState {
 public:
  /// Moves the unit's parameters into flat buffers on `device`. Shared parts
  /// are attached to `shared`, which must outlive this and may be null if the
  /// unit has none.
  UnitState(std::unique_ptr<tasks::Unit> unit,
            const optim::OptimOptions& options,
            FlatState* shared,
            at::Device device);

  /// The same with the owned state in `storage`; see FlatState.
  UnitState(std::unique_ptr<tasks::Unit> unit,
            const optim::OptimOptions& options,
            FlatState* shared,
            at::Device device,
            const at::Tensor& storage,
            FlatState::Contents contents);

  tasks::Unit& unit() { return *unit_; }
  /// State of the parameters that this unit owns.
  FlatState& owned() { return *owned_; }
  /// State of the parts shared by all units, or null.
  FlatState* shared() { return shared_; }
  LogWindow& window() { return window_; }

  /// Steps that this unit has done.
  int64_t step() const { return owned_->step; }

  /// Hash of the frozen parts' names and bytes; zero if there are none.
  Hash128 frozen_hash() const;

  /// What a checkpoint or page of this unit consists of. The bytes are the
  /// live ones: write the files before the next step.
  std::vector<checkpoint::CheckpointFile> files();

  /// Restores what files() wrote into `folder`. *Errors*: CheckpointError for
  /// missing or ill-fitting tensors, and for frozen parts that differ from
  /// those made from the seed.
  void load(const std::filesystem::path& folder);

 private:
  std::vector<NamedParameter> prepare(const optim::OptimOptions& options,
                                      at::Device device);

  std::unique_ptr<tasks::Unit> unit_;
  std::unique_ptr<FlatState> owned_;
  FlatState* shared_;
  std::vector<NamedParameter> frozen_;  // copies on the CPU
  LogWindow window_;
};

/// Bytes of the storage that `unit`'s own state takes.
int64_t storage_bytes(tasks::Unit& unit, const optim::OptimOptions& options);

/// The parameters of `unit` under one ownership, as a flat state takes them.
std::vector<NamedParameter> parameters_of(tasks::Unit& unit,
                                          blocks::Ownership ownership,
                                          optim::WeightDecayOn decay_on);

/// A flat state's files and how to read them back: weights.safetensors (plus
/// `more`, tensors that are saved but not trained), optimizer.safetensors and,
/// where there are averages, ema.safetensors and ema_second.safetensors.
std::vector<checkpoint::CheckpointFile> state_files(
    FlatState& state, std::vector<TensorBytes> more = {});
void load_state(FlatState& state, const std::filesystem::path& folder);

/// Copies weights from a safetensors file into parameters, by name.
/// *Errors*: CheckpointError if one is missing or has another type or shape.
void load_parameters(const std::vector<tasks::UnitParameter>& parameters,
                     const std::filesystem::path& file);

}  // namespace dblocks::train
