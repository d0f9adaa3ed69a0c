// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/readouts.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "dblocks/core/error.h"
#include "dblocks/core/random.h"
#include "dblocks/noise/inference_schedule.h"
#include "dblocks/sampling/euler.h"
#include "dblocks/tasks/baseline_units.h"
#include "dblocks/tasks/bridge.h"
#include "dblocks/tasks/denoising_unit.h"

namespace dblocks::tasks {
namespace {

/// Log-probabilities of all images after each block, [B][n, K].
using Predictions = std::vector<at::Tensor>;

/// A slice of the images in one block.
struct Slice {
  const DenoisingUnit& block;
  int64_t index;
  int64_t first;
  at::Tensor images;
  bool shares_noise = false;  ///< whether all images get the first one's noise

  int64_t count() const { return images.size(0); }

  at::Tensor log_probabilities(const at::Tensor& z, double sigma) const {
    const at::Tensor sigmas = at::full({count()}, sigma, z.options());
    return at::log_softmax(block.denoiser().logits(images, z, sigmas), -1);
  }
};

/// Standard normal noise for a slice. Each (image, draw, block) has a stream of
/// its own, so the batch size does not matter.
at::Tensor draw_epsilon(uint64_t seed,
                        int64_t draw,
                        int64_t block,
                        const Slice& slice,
                        int64_t width) {
  at::Tensor epsilon = at::empty({slice.count(), width}, at::kFloat);
  float* rows = epsilon.mutable_data_ptr<float>();
  for (int64_t i = 0; i < slice.count(); ++i) {
    RandomStream stream(seed, RandomPurpose::kSampling,
                        slice.shares_noise ? 0 : slice.first + i,
                        draw * 1024 + block);
    stream.fill_normal({rows + i * width, static_cast<size_t>(width)});
  }
  return epsilon.to(slice.images.device());
}

/// One readout while it passes through the blocks.
class Readout {
 public:
  Readout(std::string name, bool answers_pooled)
      : name_(std::move(name)), answers_pooled_(answers_pooled) {}
  virtual ~Readout() = default;

  /// Passes a slice through one block; returns its log-probabilities there.
  virtual at::Tensor pass(const Slice& slice) = 0;

  const std::string& name() const { return name_; }
  bool answers_pooled() const { return answers_pooled_; }

 private:
  std::string name_;
  bool answers_pooled_;
};

struct ReadoutShape {
  uint64_t seed;
  int64_t num_images;
  int64_t width;
  int64_t num_classes;
};

/// Logarithm of the mean probability over draws.
at::Tensor mean_log_probability(const std::vector<at::Tensor>& draws) {
  if (draws.size() == 1) {
    return draws.front();
  }
  return at::logsumexp(at::stack(draws), {0}) -
         std::log(static_cast<double>(draws.size()));
}

/// The published sampler, once or averaged over several draws.
class StochasticChain : public Readout {
 public:
  StochasticChain(std::string name,
                  const ReadoutShape& shape,
                  std::vector<noise::ScheduledSigma> schedule,
                  int64_t draws,
                  const ClassificationOptions& options)
      : Readout(std::move(name), false),
        shape_(shape),
        schedule_(std::move(schedule)),
        options_(options) {
    for (int64_t m = 0; m < draws; ++m) {
      states_.push_back(at::empty({shape.num_images, shape.width}));
    }
    last_ = at::empty({shape.num_images, shape.num_classes});
  }

  at::Tensor pass(const Slice& slice) override {
    at::Tensor last = last_.narrow(0, slice.first, slice.count());
    std::vector<at::Tensor> draws;
    for (size_t m = 0; m < states_.size(); ++m) {
      at::Tensor z = states_[m].narrow(0, slice.first, slice.count());
      if (slice.index == 0) {
        const at::Tensor epsilon = draw_epsilon(
            shape_.seed, static_cast<int64_t>(m), 0, slice, shape_.width);
        z.copy_(sampling::initial_state(epsilon, schedule_.front().sigma));
      }
      const at::Tensor prediction = run_block(slice, z);
      if (prediction.defined()) {
        draws.push_back(prediction);
      }
    }
    // A short schedule may leave a block out; its answer is the one before.
    if (!draws.empty()) {
      last.copy_(mean_log_probability(draws));
    }
    return last;
  }

 private:
  /// Takes the steps of one block, moving `z`; returns its last prediction.
  at::Tensor run_block(const Slice& slice, at::Tensor& z) const {
    at::Tensor prediction;
    at::Tensor state = z.to(slice.images.device());
    for (size_t i = 0; i < schedule_.size(); ++i) {
      if (schedule_[i].block != slice.index) {
        continue;
      }
      prediction = slice.log_probabilities(state, schedule_[i].sigma);
      if (i + 1 < schedule_.size()) {
        const at::Tensor clean =
            bridge(prediction.exp(),
                   slice.block.denoiser().network().target_table(), options_);
        state = sampling::euler_step(state, clean, schedule_[i].sigma,
                                     schedule_[i + 1].sigma);
      }
    }
    z.copy_(state);
    return prediction;
  }

  ReadoutShape shape_;
  std::vector<noise::ScheduledSigma> schedule_;
  ClassificationOptions options_;
  std::vector<at::Tensor> states_;  // per draw [n, D], on the CPU
  at::Tensor last_;                 // [n, K]
};

/// Readouts that pass on the expected target: each block is asked at the upper
/// end of its interval about  carried * D + noise * sigma_b * epsilon.
class MeanChain : public Readout {
 public:
  MeanChain(std::string name,
            bool answers_pooled,
            const ReadoutShape& shape,
            const noise::Partition& partition,
            bool carries_target,
            int64_t draws,
            const ClassificationOptions& options)
      : Readout(std::move(name), answers_pooled),
        shape_(shape),
        partition_(partition),
        carries_target_(carries_target),
        draws_(draws),
        options_(options),
        expected_(at::zeros({shape.num_images, shape.width})) {}

  at::Tensor pass(const Slice& slice) override {
    const double sigma = partition_.interval(slice.index).high;
    at::Tensor expected = expected_.narrow(0, slice.first, slice.count());
    const at::Tensor carried = expected.to(slice.images.device());
    std::vector<at::Tensor> draws;
    for (int64_t m = 0; m < std::max<int64_t>(draws_, 1); ++m) {
      at::Tensor z = carried;
      if (draws_ > 0) {
        z = z + draw_epsilon(shape_.seed, m, slice.index, slice, shape_.width) *
                    sigma;
      }
      draws.push_back(slice.log_probabilities(z, sigma));
    }
    at::Tensor prediction = mean_log_probability(draws);
    if (carries_target_) {
      expected.copy_(bridge(prediction.exp(),
                            slice.block.denoiser().network().target_table(),
                            options_));
    }
    return prediction;
  }

 private:
  ReadoutShape shape_;
  noise::Partition partition_;
  bool carries_target_;
  int64_t draws_;  // 0: no noise at all
  ClassificationOptions options_;
  at::Tensor expected_;  // [n, D], on the CPU
};

std::vector<std::unique_ptr<Readout>> make_readouts(
    const ClassificationTask& task,
    const ReadoutOptions& options,
    int64_t num_images) {
  const TaskOptions& o = task.options();
  const noise::Partition& partition = task.partition();
  const ReadoutShape shape{o.seed, num_images, o.shape.options.width,
                           o.shape.num_classes};
  const int64_t steps =
      options.chain_steps > 0 ? options.chain_steps : partition.num_blocks();
  const auto schedule = noise::quantile_schedule(partition, steps);
  const int64_t m = options.draws;
  const ClassificationOptions& c = o.classification;
  std::vector<std::unique_ptr<Readout>> all;
  all.push_back(std::make_unique<StochasticChain>("stochastic_chain", shape,
                                                  schedule, 1, c));
  all.push_back(std::make_unique<StochasticChain>("averaged_chain", shape,
                                                  schedule, m, c));
  all.push_back(std::make_unique<MeanChain>("noise_free_chain", false, shape,
                                            partition, true, 0, c));
  all.push_back(std::make_unique<MeanChain>("renoised_chain", true, shape,
                                            partition, true, m, c));
  all.push_back(std::make_unique<MeanChain>("fresh_blocks", true, shape,
                                            partition, false, m, c));
  return all;
}

std::span<const float> rows_of(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<float>(), static_cast<size_t>(tensor.numel())};
}

metrics::ClassificationMetrics measure(const at::Tensor& log_probabilities,
                                       const LabelledSet& set) {
  metrics::ClassificationAccumulator accumulator;
  accumulator.add(rows_of(log_probabilities), set.labels,
                  log_probabilities.size(1));
  return accumulator.result();
}

ReadoutResult summarise(const std::string& name,
                        bool answers_pooled,
                        const Predictions& predictions,
                        const LabelledSet& set) {
  ReadoutResult result{.name = name, .answers_pooled = answers_pooled};
  for (const at::Tensor& after_block : predictions) {
    result.after_block.push_back(measure(after_block, set));
  }
  result.log_probabilities = predictions;
  result.pooled_log_probabilities =
      at::log_softmax(at::stack(predictions).mean(0), -1);
  result.pooled = measure(result.pooled_log_probabilities, set);
  return result;
}

/// Runs `visit(unit, index, first, images)` over all units and all slices.
template <class Visit>
void for_each_slice(const ClassificationTask& task,
                    const UnitLoader& load_unit,
                    const LabelledSet& set,
                    int64_t batch_size,
                    const EvaluationProgress& progress,
                    const Visit& visit) {
  const int64_t units = task.num_units();
  for (int64_t index = 0; index < units; ++index) {
    const std::unique_ptr<Unit> unit = load_unit(index);
    unit->network().eval();
    for (int64_t first = 0; first < set.size(); first += batch_size) {
      const int64_t count = std::min(batch_size, set.size() - first);
      visit(*unit, index, first, set.images(first, count));
      if (progress) {
        progress(static_cast<double>(index * set.size() + first + count) /
                 static_cast<double>(units * set.size()));
      }
    }
  }
}

std::vector<ReadoutResult> evaluate_blocks(const ClassificationTask& task,
                                           const UnitLoader& load_unit,
                                           const LabelledSet& set,
                                           const ReadoutOptions& options,
                                           const EvaluationProgress& progress) {
  const auto readouts = make_readouts(task, options, set.size());
  const int64_t classes = task.options().shape.num_classes;
  std::vector<Predictions> predictions(readouts.size());
  for (Predictions& p : predictions) {
    for (int64_t b = 0; b < task.num_units(); ++b) {
      p.push_back(at::empty({set.size(), classes}));
    }
  }
  for_each_slice(
      task, load_unit, set, options.batch_size, progress,
      [&](Unit& unit, int64_t index, int64_t first, const at::Tensor& images) {
        const auto* block = dynamic_cast<const DenoisingUnit*>(&unit);
        DBLOCKS_ASSERT(block != nullptr, "unit {} is no block", index);
        const Slice slice{*block, index, first, images};
        for (size_t r = 0; r < readouts.size(); ++r) {
          predictions[r][index]
              .narrow(0, first, images.size(0))
              .copy_(readouts[r]->pass(slice));
        }
      });
  std::vector<ReadoutResult> results;
  for (size_t r = 0; r < readouts.size(); ++r) {
    results.push_back(summarise(readouts[r]->name(),
                                readouts[r]->answers_pooled(), predictions[r],
                                set));
  }
  return results;
}

ReadoutResult evaluate_baseline(const ClassificationTask& task,
                                const UnitLoader& load_unit,
                                const LabelledSet& set,
                                const ReadoutOptions& options,
                                const EvaluationProgress& progress) {
  Predictions predictions;
  for (int64_t i = 0; i < task.num_units(); ++i) {
    predictions.push_back(
        at::empty({set.size(), task.options().shape.num_classes}));
  }
  for_each_slice(
      task, load_unit, set, options.batch_size, progress,
      [&](Unit& unit, int64_t index, int64_t first, const at::Tensor& images) {
        const auto* baseline = dynamic_cast<const BaselineUnit*>(&unit);
        DBLOCKS_ASSERT(baseline != nullptr, "unit {} is no baseline", index);
        predictions[index]
            .narrow(0, first, images.size(0))
            .copy_(at::log_softmax(baseline->logits(images), -1));
      });
  const Method method = task.options().method;
  return summarise(std::string(enum_name(method)), method == Method::kEnsemble,
                   predictions, set);
}

// The log-probabilities of one unit: of a block by the chain, of a baseline by
// its network.
at::Tensor unit_prediction(const Unit& unit,
                           int64_t index,
                           MeanChain* chain,
                           const at::Tensor& images) {
  if (chain != nullptr) {
    const auto* block = dynamic_cast<const DenoisingUnit*>(&unit);
    DBLOCKS_ASSERT(block != nullptr, "unit {} is no block", index);
    return chain->pass({*block, index, 0, images, true});
  }
  const auto* baseline = dynamic_cast<const BaselineUnit*>(&unit);
  DBLOCKS_ASSERT(baseline != nullptr, "unit {} is no baseline", index);
  return at::log_softmax(baseline->logits(images), -1);
}

}  // namespace

Prediction predict(const ClassificationTask& task,
                   const UnitLoader& load_unit,
                   const at::Tensor& images,
                   const ReadoutOptions& options) {
  c10::InferenceMode inference;
  const TaskOptions& o = task.options();
  const bool is_chain = o.method == Method::kDiffusionBlocks;
  const ReadoutShape shape{o.seed, images.size(0), o.shape.options.width,
                           o.shape.num_classes};
  std::unique_ptr<MeanChain> chain;
  if (is_chain) {
    chain = std::make_unique<MeanChain>("renoised_chain", true, shape,
                                        task.partition(), true, options.draws,
                                        o.classification);
  }
  Prediction result{
      .readout = is_chain ? chain->name() : std::string(enum_name(o.method)),
      .answers_pooled = is_chain || o.method == Method::kEnsemble};
  std::vector<at::Tensor> logarithms;
  for (int64_t index = 0; index < task.num_units(); ++index) {
    const std::unique_ptr<Unit> unit = load_unit(index);
    unit->network().eval();
    logarithms.push_back(
        unit_prediction(*unit, index, chain.get(), images).to(at::kCPU));
    result.after_block.push_back(logarithms.back().exp());
  }
  result.pooled = at::softmax(at::stack(logarithms).mean(0), -1);
  return result;
}

std::vector<ReadoutResult> evaluate(const ClassificationTask& task,
                                    const UnitLoader& load_unit,
                                    const LabelledSet& set,
                                    const ReadoutOptions& options,
                                    const EvaluationProgress& progress) {
  DBLOCKS_CHECK(set.size() > 0, DataError,
                "[evaluate] expected test images, found none");
  c10::InferenceMode inference;
  if (task.options().method == Method::kDiffusionBlocks) {
    return evaluate_blocks(task, load_unit, set, options, progress);
  }
  return {evaluate_baseline(task, load_unit, set, options, progress)};
}

}  // namespace dblocks::tasks
