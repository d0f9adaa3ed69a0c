// SPDX-License-Identifier: Apache-2.0
// The step of a block as one CUDA graph: hundreds of kernels start with one
// call, and the CPU only brings the batch and reads three numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "dblocks/ops/cuda/kernels.h"
#include "dblocks/train/block_step.h"

namespace dblocks::train {

/// A recorded block_step() of one resident unit and one shape of batches.
class RecordedStep {
 public:
  /// Records a step. Nothing of the state changes. Requires: our kernels, a few
  /// steps taken by block_step() before, so that all LibTorch makes at first
  /// use is made. `before`: a graph whose memory is free to use, or none.
  /// *Errors*: those of LibTorch; the state is then as before.
  RecordedStep(UnitState& state,
               const tasks::LabelledBatch& batch,
               const tasks::StepKey& key,
               const StepOptions& options,
               ops::cuda::Graph* before);
  ~RecordedStep();
  RecordedStep(const RecordedStep&) = delete;
  RecordedStep& operator=(const RecordedStep&) = delete;

  /// Whether `batch` has the shape that was recorded.
  bool fits(const tasks::LabelledBatch& batch) const;

  /// Takes a step: block_step() with the same results, to the bit where the
  /// matrix products are deterministic.
  StepResult step(const tasks::LabelledBatch& batch,
                  const tasks::StepKey& key,
                  const StepOptions& options);

  /// Ends the use of the step; what is left has its memory.
  std::unique_ptr<ops::cuda::Graph> release_graph() {
    return std::move(graph_);
  }

 private:
  void run(const StepOptions& options);
  void send(const tasks::LabelledBatch& batch,
            const tasks::StepKey& key,
            const StepOptions& options);
  ops::cuda::UpdateFactors* factors(int64_t index);

  UnitState& state_;
  tasks::LabelledBatch batch_;
  std::vector<at::Tensor> drawn_;
  // Bytes that the CPU sends for a step: factors of the owned and the shared
  // state, then the keys of dropout.
  at::Tensor sent_, host_sent_;
  at::Tensor keys_;  // a part of sent_
  int64_t num_keys_ = 0;
  std::vector<at::Tensor> norms_;  // scratch of each state
  at::Tensor loss_, result_;       // float64: [1]; loss, norm, correct
  std::unique_ptr<ops::cuda::Graph> graph_;
};

/// Takes steps of whatever unit is resident: the first few of all one by one,
/// then, where the device can, as a recorded graph. A step that cannot be
/// recorded is taken as before, and the log says so once.
class Stepper {
 public:
  /// `records`: whether to record at all. Layers that are run again put random
  /// generators back, which a recording cannot: they are not for it.
  explicit Stepper(bool records) : records_(records) {}

  /// step_within_memory(), or the same recorded. `steps_left`: of this visit,
  /// this one included.
  StepResult step(UnitState& state,
                  const tasks::LabelledBatch& batch,
                  const tasks::StepKey& key,
                  StepOptions& options,
                  int64_t steps_left);

  /// Has to be called before the unit stops being resident.
  void forget();

  bool is_recorded() const { return recorded_ != nullptr; }

 private:
  bool is_worth_recording(const tasks::LabelledBatch& batch,
                          const StepOptions& options,
                          int64_t steps_left) const;

  bool records_;
  bool record(UnitState& state,
              const tasks::LabelledBatch& batch,
              const tasks::StepKey& key,
              const StepOptions& options);

  int64_t steps_before_ = 0;  // taken one by one
  bool has_recorded_ = false;
  std::unique_ptr<RecordedStep> recorded_;
  // That of the unit before: memory for the next one's.
  std::unique_ptr<ops::cuda::Graph> last_graph_;
};

}  // namespace dblocks::train
