// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/trainer.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "dblocks/checkpoint/lease.h"
#include "dblocks/core/error.h"
#include "dblocks/core/log.h"
#include "dblocks/data/loader.h"
#include "dblocks/memory/meter.h"
#include "dblocks/report/json_lines.h"
#include "dblocks/train/device_batch.h"
#include "dblocks/train/memory_recovery.h"
#include "dblocks/train/run_checkpoints.h"
#include "dblocks/train/run_events.h"
#include "dblocks/train/unit_state.h"
#include "dblocks/train/visits.h"

namespace dblocks::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

class Trainer::Impl {
 public:
  Impl(const RunSetup& setup,
       const data::Dataset& train_set,
       const RunFolder& folder,
       const TrainerOptions& options)
      : setup_(setup),
        made_task_(tasks::make_task(setup.task)),
        task_(*made_task_),
        train_set_(train_set),
        folder_(folder),
        options_(options),
        step_options_{.optim = setup.optim,
                      .total_steps = setup.train.steps,
                      .micro_batch = setup.train.micro_batch} {
    if (options.only_unit) {
      check_trains_alone(setup, *options.only_unit);
    }
    take_leases();
    find_state();
  }

  TrainResult run() {
    while (const std::optional<Visit> visit = next()) {
      for (int64_t i = 0; i < visit->steps && !is_stopped(); ++i) {
        take_step(visit->unit);
      }
      if (is_stopped()) {
        break;
      }
    }
    commit_all();
    unload();
    remove_pages();
    return {.steps = steps_,
            .is_interrupted = next().has_value(),
            .data_wait_share = data_wait_share(),
            .images_per_second = images_per_second()};
  }

  const std::vector<int64_t>& steps() const { return steps_; }

 private:
  bool is_stopped() const { return options_.stop && options_.stop->load(); }

  bool trains(int64_t unit) const {
    return !options_.only_unit || *options_.only_unit == unit;
  }

  void take_leases() {
    for (int64_t unit = 0; unit < task_.num_units(); ++unit) {
      if (trains(unit)) {
        leases_.emplace_back(folder_.unit(unit));
      }
    }
    if (setup_.has_shared_parts()) {
      leases_.emplace_back(folder_.shared());
    }
  }

  /// Finds where every unit stands; leftovers of a killed process go.
  void find_state() {
    const int64_t units = task_.num_units();
    for (int64_t unit = 0; unit < units; ++unit) {
      stores_.push_back(unit_store(folder_, setup_, unit));
      if (trains(unit)) {
        stores_.back().remove_leftovers();
        real_file_system().remove_all(folder_.page(unit));
      }
    }
    const RunCheckpoints found = find_checkpoints(folder_, setup_, units);
    steps_ = committed_ = found.steps();
    for (int64_t unit = 0; unit < units; ++unit) {
      homes_.push_back(found.units[unit] ? found.units[unit]->folder
                                         : std::filesystem::path());
    }
    if (setup_.has_shared_parts()) {
      shared_store_.emplace(shared_store(folder_, setup_));
      shared_store_->remove_leftovers();
      make_shared_state(found);
    }
  }

  void make_shared_state(const RunCheckpoints& found) {
    const std::unique_ptr<tasks::Unit> unit = task_.make_unit(0);
    unit->network().to(options_.device);
    shared_ = std::make_unique<FlatState>(
        parameters_of(*unit, blocks::Ownership::kShared,
                      setup_.optim.weight_decay_on),
        setup_.optim.moments);
    if (setup_.optim.ema_decay > 0) {
      shared_->enable_average();
    }
    if (found.shared) {
      load_state(*shared_, found.shared->folder);
      shared_->step = found.shared->step;
    }
  }

  std::optional<Visit> next() const {
    if (!options_.only_unit) {
      return next_visit(setup_.train, setup_.task.seed, steps_);
    }
    const int64_t unit = *options_.only_unit;
    const int64_t left = setup_.train.steps - steps_[unit];
    return left > 0 ? std::optional(Visit{unit, left}) : std::nullopt;
  }

  /// Makes `unit` the resident one.
  void load(int64_t unit) {
    if (resident_ && resident_unit_ == unit) {
      return;
    }
    unload();
    resident_ = std::make_unique<UnitState>(task_.make_unit(unit), setup_.optim,
                                            shared_.get(), options_.device);
    resident_unit_ = unit;
    if (!homes_[unit].empty()) {
      resident_->load(homes_[unit]);
    }
    for (const tasks::Context& context : resident_->unit().context()) {
      load_context(context);
    }
  }

  void load_context(const tasks::Context& context) const {
    DBLOCKS_CHECK(steps_[context.unit] == setup_.train.steps, CheckpointError,
                  "[train] expected block {} to be finished, found it at step "
                  "{} of {}: greedy training reads its features",
                  context.unit, steps_[context.unit], setup_.train.steps);
    load_parameters(context.parameters,
                    homes_[context.unit] / checkpoint::kWeightsName);
  }

  /// Takes the resident unit out of memory; what no checkpoint holds goes to
  /// its page.
  void unload() {
    if (!resident_) {
      return;
    }
    const int64_t unit = resident_unit_;
    if (steps_[unit] != committed_[unit]) {
      const std::filesystem::path page = folder_.page(unit);
      scratch_file_system().make_folders(page);
      for (const checkpoint::CheckpointFile& file : resident_->files()) {
        file.write(scratch_file_system(), page / file.name);
      }
      homes_[unit] = page;
    }
    resident_.reset();
  }

  void take_step(int64_t unit) {
    load(unit);
    const Clock::time_point start = Clock::now();
    const double waited = loader(unit).wait_seconds();
    const data::Batch& batch = loader(unit).next();
    data_wait_seconds_ += loader(unit).wait_seconds() - waited;
    const tasks::StepKey key{setup_.task.seed, unit, steps_[unit]};
    const StepResult result = step_within_memory(
        *resident_, to_device(batch, train_set_.info(), options_.device), key,
        step_options_);
    steps_[unit] = resident_->step();
    count(batch.num_samples, seconds_since(start), result);
    write_events(unit, batch);
    write_log(unit, result);
    if (is_commit_due(unit)) {
      commit_all_or_resident();
    }
    show_progress(unit, result);
  }

  data::Loader& loader(int64_t unit) {
    auto& slot = loaders_[unit];
    if (!slot) {
      slot = std::make_unique<data::Loader>(train_set_, setup_.loader,
                                            steps_[unit]);
    }
    return *slot;
  }

  void count(int64_t samples, double seconds, const StepResult& result) {
    step_seconds_ += seconds;
    images_ += samples;
    ++steps_taken_;
    LogWindow& window = resident_->window();
    window.loss_sum += result.loss;
    window.num_correct += result.num_correct;
    window.num_samples += samples;
    ++window.num_steps;
  }

  bool is_last_step(int64_t unit) const {
    return steps_[unit] == setup_.train.steps;
  }

  void write_log(int64_t unit, const StepResult& result) {
    if (steps_[unit] % setup_.train.log_every_steps != 0 &&
        !is_last_step(unit)) {
      return;
    }
    LogWindow& window = resident_->window();
    nlohmann::ordered_json line = {
        {"step", steps_[unit]},
        {"steps", setup_.train.steps},
        {"block", unit},
        {"loss", window.loss_sum / static_cast<double>(window.num_steps)},
        {"accuracy", share_correct(window.num_correct, window.num_samples)},
        {"learning_rate", result.learning_rate},
        {"gradient_norm", result.gradient_norm},
        {"images_per_second", images_per_second()},
        {"peak_tensor_bytes", memory::cpu_peak_bytes()},
        {"data_wait_share", data_wait_share()}};
    const double accuracy = line["accuracy"].get<double>();
    if (std::isnan(accuracy)) {
      line.erase("accuracy");
    }
    log_of(unit).write(line);
    events_of(unit).write_scalars(line);
    logged_[unit] = {line["loss"].get<double>(), accuracy};
    window = {};
  }

  void write_events(int64_t unit, const data::Batch& batch) {
    if (steps_[unit] == 1) {
      events_of(unit).write_batch(1, batch, train_set_.info(), setup_.loader);
    }
    const int64_t distance = setup_.report.histograms_every_steps;
    if (distance > 0 && steps_[unit] % distance == 0) {
      events_of(unit).write_histograms(steps_[unit], resident_->unit());
    }
  }

  UnitEvents& events_of(int64_t unit) {
    return events_.try_emplace(unit, folder_.unit(unit), committed_[unit])
        .first->second;
  }

  report::JsonLinesLog& log_of(int64_t unit) {
    auto found = logs_.find(unit);
    if (found == logs_.end()) {
      found = logs_
                  .emplace(unit, report::JsonLinesLog::resume(folder_.log(unit),
                                                              committed_[unit]))
                  .first;
    }
    return found->second;
  }

  bool is_commit_due(int64_t unit) const {
    if (!shared_) {
      return is_last_step(unit) ||
             steps_[unit] % setup_.checkpoint.every_steps == 0;
    }
    return shared_->step %
               (setup_.checkpoint.every_steps * task_.num_units()) ==
           0;
  }

  void commit_all_or_resident() {
    if (shared_) {
      commit_all();
    } else {
      commit_resident();
    }
  }

  /// Makes the state of every unit durable.
  void commit_all() {
    const bool is_shared_dirty = shared_ && is_any_dirty();
    if (resident_ && steps_[resident_unit_] != committed_[resident_unit_]) {
      commit_resident();
    }
    for (int64_t unit = 0; unit < task_.num_units(); ++unit) {
      if (steps_[unit] != committed_[unit]) {
        load(unit);
        commit_resident();
      }
    }
    // Last, because it names the steps of the others: with it the commit is
    // complete, without it the one before still is.
    if (is_shared_dirty) {
      commit_shared();
    }
  }

  bool is_any_dirty() const { return steps_ != committed_; }

  void commit_resident() {
    const int64_t unit = resident_unit_;
    if (const auto found = logs_.find(unit); found != logs_.end()) {
      found->second.sync();
    }
    if (const auto found = events_.find(unit); found != events_.end()) {
      found->second.sync();
    }
    const auto files = resident_->files();
    const checkpoint::Checkpoint done =
        stores_[unit].commit(steps_[unit], files, manifest_of(unit));
    committed_[unit] = steps_[unit];
    homes_[unit] = done.folder;
  }

  checkpoint::Manifest manifest_of(int64_t unit) const {
    const bool denoises = setup_.task.method == tasks::Method::kDiffusionBlocks;
    const noise::Interval interval =
        denoises ? task_.partition().interval(unit) : noise::Interval{};
    return {.unit = task_.num_units() == 1 ? checkpoint::UnitKind::kModel
                                           : checkpoint::UnitKind::kBlock,
            .block = unit,
            .num_blocks = task_.num_units(),
            .first_layer = task_.layers(unit).first,
            .end_layer = task_.layers(unit).last,
            .sigma_low = interval.low,
            .sigma_high = interval.high,
            .recipe_fingerprint = setup_.fingerprint,
            .frozen_hash = resident_->frozen_hash()};
  }

  void commit_shared() {
    auto files = state_files(*shared_);
    files.push_back(checkpoint::text_file(
        checkpoint::kStateName, shared_state_text(shared_->step, steps_)));
    shared_store_->commit(shared_->step, files,
                          {.unit = checkpoint::UnitKind::kShared,
                           .num_blocks = task_.num_units(),
                           .recipe_fingerprint = setup_.fingerprint});
  }

  void remove_pages() const {
    for (int64_t unit = 0; unit < task_.num_units(); ++unit) {
      if (trains(unit)) {
        real_file_system().remove_all(folder_.page(unit));
      }
    }
  }

  /// NaN where the task has no classes to get right.
  double share_correct(int64_t num_correct, int64_t num_samples) const {
    return setup_.task.kind == tasks::TaskKind::kClassification
               ? static_cast<double>(num_correct) /
                     static_cast<double>(num_samples)
               : NAN;
  }

  double images_per_second() const {
    return step_seconds_ > 0 ? static_cast<double>(images_) / step_seconds_ : 0;
  }

  double data_wait_share() const {
    return step_seconds_ > 0 ? data_wait_seconds_ / step_seconds_ : 0;
  }

  int64_t steps_left() const {
    int64_t left = 0;
    for (int64_t unit = 0; unit < task_.num_units(); ++unit) {
      left += trains(unit) ? setup_.train.steps - steps_[unit] : 0;
    }
    return left;
  }

  void show_progress(int64_t unit, const StepResult& result) const {
    if (!options_.on_progress) {
      return;
    }
    const int64_t peak = memory::cpu_peak_bytes();
    const auto logged = logged_.find(unit);
    const bool is_logged = logged != logged_.end();
    options_.on_progress(
        {.block = unit,
         .num_blocks = task_.num_units(),
         .step = steps_[unit],
         .steps = setup_.train.steps,
         .loss = result.loss,
         .accuracy =
             share_correct(result.num_correct, setup_.loader.batch_size),
         .logged_loss = is_logged ? logged->second.first : NAN,
         .logged_accuracy = is_logged ? logged->second.second : NAN,
         .images_per_second = images_per_second(),
         .memory_bytes = peak > 0 ? peak : -1,
         .data_wait_share = data_wait_share(),
         .seconds_left = step_seconds_ / static_cast<double>(steps_taken_) *
                         static_cast<double>(steps_left())});
  }

  RunSetup setup_;
  std::unique_ptr<tasks::Task> made_task_;
  const tasks::Task& task_;
  const data::Dataset& train_set_;
  RunFolder folder_;
  TrainerOptions options_;
  StepOptions step_options_;

  std::vector<checkpoint::Lease> leases_;
  std::vector<checkpoint::CheckpointStore> stores_;
  std::optional<checkpoint::CheckpointStore> shared_store_;
  std::vector<int64_t> steps_;      // done, per unit
  std::vector<int64_t> committed_;  // durable, per unit
  // Where the state of each idle unit lies: a checkpoint or its page; empty for
  // a unit that starts from its initial weights.
  std::vector<std::filesystem::path> homes_;

  std::unique_ptr<FlatState> shared_;
  std::unique_ptr<UnitState> resident_;
  int64_t resident_unit_ = -1;

  std::map<int64_t, std::unique_ptr<data::Loader>> loaders_;
  std::map<int64_t, report::JsonLinesLog> logs_;
  std::map<int64_t, UnitEvents> events_;
  std::map<int64_t, std::pair<double, double>> logged_;  // loss and accuracy
  double step_seconds_ = 0;
  double data_wait_seconds_ = 0;
  int64_t images_ = 0;
  int64_t steps_taken_ = 0;
};

void check_trains_alone(const RunSetup& setup, int64_t unit) {
  const int64_t num_units = tasks::make_task(setup.task)->num_units();
  DBLOCKS_CHECK(unit >= 0 && unit < num_units, ConfigError,
                "[train] expected a block from 0 to {}, found {}",
                num_units - 1, unit);
  DBLOCKS_CHECK(!setup.has_shared_parts(), ConfigError,
                "[train] expected blocks that own all they train, found shared "
                "parts in blocks.ownership: such blocks cannot be trained "
                "apart. Hint: use per_block or frozen");
}

Trainer::Trainer(const RunSetup& setup,
                 const data::Dataset& train_set,
                 const RunFolder& folder,
                 const TrainerOptions& options)
    : impl_(std::make_unique<Impl>(setup, train_set, folder, options)) {}

Trainer::~Trainer() = default;

TrainResult Trainer::run() {
  return impl_->run();
}

const std::vector<int64_t>& Trainer::steps_done() const {
  return impl_->steps();
}

}  // namespace dblocks::train
