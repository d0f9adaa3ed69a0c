// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/trainer.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <utility>

#include "dblocks/checkpoint/lease.h"
#include "dblocks/core/error.h"
#include "dblocks/core/log.h"
#include "dblocks/data/loader.h"
#include "dblocks/memory/device_memory.h"
#include "dblocks/memory/pager.h"
#include "dblocks/nn/init.h"
#include "dblocks/ops/cuda/plugin.h"
#include "dblocks/train/device_batches.h"
#include "dblocks/train/device_tier.h"
#include "dblocks/train/recorded_step.h"
#include "dblocks/train/run_checkpoints.h"
#include "dblocks/train/state_arena.h"
#include "dblocks/train/time_account.h"
#include "dblocks/train/unit_commits.h"
#include "dblocks/train/unit_logs.h"
#include "dblocks/train/unit_state.h"
#include "dblocks/train/visits.h"

namespace dblocks::train {
namespace {

using Clock = std::chrono::steady_clock;

// Before there is a measurement to choose it by.
constexpr int64_t kFirstVisitSteps = 4;
// More bad steps one after another, or more times back to checkpoints, mean
// that training itself has failed.
constexpr int64_t kMaxBadInARow = 10;
constexpr int64_t kMaxTimesBack = 10;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Seconds that one state takes in and out; 0 if none of either was measured.
double in_and_out(double seconds_in,
                  int64_t num_in,
                  double seconds_out,
                  int64_t num_out) {
  return num_in == 0 || num_out == 0
             ? 0
             : seconds_in / static_cast<double>(num_in) +
                   seconds_out / static_cast<double>(num_out);
}

size_t whole_pages(int64_t bytes) {
  constexpr size_t kUnit = memory::PageFile::kAlignment;
  return (static_cast<size_t>(bytes) + kUnit - 1) / kUnit * kUnit;
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
        step_options_{
            .optim = setup.optim,
            .total_steps = setup.train.steps,
            .micro_batch = setup.train.micro_batch,
            .fails_if_bad = setup.train.on_bad_step == BadStepPolicy::kFail},
        stepper_(setup.train.cuda_graphs && !setup.task.recompute),
        visit_steps_(setup.train.steps_per_visit > 0
                         ? setup.train.steps_per_visit
                         : kFirstVisitSteps),
        commits_(setup_, folder, task_.num_units()),
        logs_(folder, commits_.steps()) {
    if (options.only_unit) {
      check_trains_alone(setup, *options.only_unit);
    }
    take_leases();
    find_state();
  }

  TrainResult run() {
    make_pager();
    while (const std::optional<Visit> visit = next(steps_)) {
      load(visit->unit, visit);
      for (int64_t i = 0; i < visit->steps && !is_stopped(); ++i) {
        if (!take_step(visit->unit, visit->steps - i)) {
          break;
        }
      }
      if (is_stopped()) {
        break;
      }
    }
    commit_all();
    unload();
    const memory::PagerStats paging = pager_->stats();
    DeviceTraffic to_device, from_device;
    if (device_tier_) {
      to_device = device_tier_->traffic_in();
      from_device = device_tier_->traffic_out();
    }
    pager_.reset();
    take_built(-1);
    device_tier_.reset();
    arenas_.clear();
    remove_pages();
    return {.steps = steps_,
            .is_interrupted = next(steps_).has_value(),
            .data_wait_share = time_.share(time_.data_wait_seconds),
            .images_per_second = time_.images_per_second(),
            .paging_wait_share = time_.share(time_.paging_wait_seconds),
            .num_commits_waited = time_.num_commits,
            .commit_seconds = time_.commit_seconds,
            .step_seconds = time_.mean_step_seconds(),
            .peak_tensor_bytes = memory::device_peak_bytes(options_.device),
            .paging = paging,
            .to_device = to_device,
            .from_device = from_device};
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
      if (trains(unit)) {
        commits_.remove_leftovers(unit);
        real_file_system().remove_all(folder_.page(unit));
      }
    }
    const RunCheckpoints found = find_checkpoints(folder_, setup_, units);
    steps_ = found.steps();
    commits_.begin(found);
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
        setup_.optim.state_format());
    if (found.shared) {
      load_state(*shared_, found.shared->folder);
      shared_->step = found.shared->step;
    }
  }

  /// The visit after which units have done `steps`.
  std::optional<Visit> next(const std::vector<int64_t>& steps) const {
    if (!options_.only_unit) {
      TrainOptions order = setup_.train;
      order.steps_per_visit = visit_steps_;
      return next_visit(order, setup_.task.seed, steps);
    }
    const int64_t unit = *options_.only_unit;
    const int64_t left = setup_.train.steps - steps[unit];
    return left > 0 ? std::optional(Visit{unit, left}) : std::nullopt;
  }

  void make_pager() {
    memory::PagerOptions pager;
    size_t largest = 0;
    for (int64_t unit = 0; unit < task_.num_units(); ++unit) {
      const nn::PlaceholderGuard no_values;
      const size_t size =
          trains(unit)
              ? whole_pages(storage_bytes(*task_.make_unit(unit), setup_.optim))
              : 0;
      pager.files.push_back(folder_.page(unit));
      pager.state_bytes.push_back(size);
      largest = std::max(largest, size);
    }
    const int64_t most = options_.only_unit ? 1 : task_.num_units();
    for (int64_t i = 0; i < std::clamp<int64_t>(options_.num_arenas, 1, most);
         ++i) {
      StateArena& arena = arenas_.emplace_back(largest);
      if (options_.device.is_cuda() && ops::cuda::kernels() != nullptr &&
          largest > 0) {
        arena.pin();
      }
      pager.arenas.push_back(arena.bytes());
    }
    if (!options_.device.is_cpu() || options_.has_device_tier) {
      device_tier_.emplace(
          options_.device, largest,
          std::clamp<int64_t>(options_.num_device_slots, 1, most));
    }
    windows_.resize(task_.num_units());
    was_loaded_.resize(task_.num_units());
    pager_ = std::make_unique<memory::Pager>(std::move(pager));
  }

  /// Makes `unit` the resident one, for `visit` if that is known: the unit that
  /// follows is then on its way before this one is put together.
  void load(int64_t unit, const std::optional<Visit>& visit = {}) {
    if (resident_ && resident_unit_ == unit) {
      if (visit) {
        prefetch_after(*visit);
      }
      return;
    }
    const Clock::time_point start = Clock::now();
    unload();
    commits_.collect();
    const double left = seconds_since(start);
    const std::span<std::byte> bytes = enter(unit);
    const at::Tensor storage =
        device_tier_ ? on_device(unit, bytes) : as_storage(bytes);
    const double entered = seconds_since(start);
    if (visit) {
      prefetch_after(*visit);
    }
    resident_ = take_built(unit);
    if (!resident_) {
      resident_ = build(unit, storage);
    }
    resident_unit_ = unit;
    resident_->owned().step = step_at_load_ = steps_[unit];
    resident_->window() = windows_[unit];
    const bool was_made = !was_loaded_[unit];
    was_loaded_[unit] = true;
    for (const tasks::Context& context : resident_->unit().context()) {
      load_context(context);
    }
    // Making a state from the seed or a checkpoint is no moving of states.
    time_.paging_wait_seconds += was_made ? 0 : seconds_since(start);
    log().debug(
        "[train] block {} is resident: the one before left in {:.1f} ms, its "
        "state came in {:.1f}, it was put together in {:.1f}",
        unit, 1e3 * left, 1e3 * (entered - left),
        1e3 * (seconds_since(start) - entered));
    choose_visit_steps();
  }

  std::shared_ptr<UnitState> build(int64_t unit, const at::Tensor& storage) {
    const nn::PlaceholderGuard no_values;
    return std::make_shared<UnitState>(task_.make_unit(unit), setup_.optim,
                                       shared_.get(), options_.device, storage,
                                       FlatState::Contents::kState);
  }

  /// The unit if it was put together as it arrived on the device.
  std::shared_ptr<UnitState> take_built(int64_t unit) {
    const std::scoped_lock lock(built_mutex_);
    const auto [built_unit, built] = std::exchange(built_, {-1, nullptr});
    return built_unit == unit ? built : nullptr;
  }

  /// The entered unit's state on the device; copies it in if that has not been
  /// done ahead.
  at::Tensor on_device(int64_t unit, std::span<std::byte> bytes) {
    std::optional<int64_t> slot = device_tier_->find(unit);
    if (!slot) {
      // Slots may still be copied to or from by the pager's thread.
      pager_->drain();
      take_built(-1);
      slot = device_tier_->reserve(unit);
      if (!slot) {
        device_tier_->release_others(unit);
        slot = device_tier_->reserve(unit);
      }
      device_tier_->copy_in(*slot, bytes);
    }
    return device_tier_->storage(*slot, bytes.size());
  }

  /// The bytes of `unit`'s state, in memory.
  std::span<std::byte> enter(int64_t unit) {
    size_t arena = 0;
    try {
      arena = pager_->enter(unit, fill_of(unit));
    } catch (const memory::PageError& error) {
      roll_back(unit, error);
      arena = pager_->enter(unit, fill_of(unit));
    }
    resident_arena_ = arenas_[arena].bytes();
    return resident_arena_;
  }

  /// Makes the state of a unit that has no page: from its checkpoint, or with
  /// initial weights.
  memory::Pager::Fill fill_of(int64_t unit) {
    return
        [this, unit, home = commits_.home(unit)](std::span<std::byte> bytes) {
          std::optional<nn::PlaceholderGuard> no_values;
          if (!home.empty()) {
            no_values.emplace();
          }
          UnitState state(task_.make_unit(unit), setup_.optim, shared_.get(),
                          at::kCPU, as_storage(bytes),
                          FlatState::Contents::kNothing);
          if (!home.empty()) {
            state.load(home);
          }
          windows_[unit] = state.window();
        };
  }

  void roll_back(int64_t unit, const memory::PageError& error) {
    if (device_tier_) {
      device_tier_->release(unit);
    }
    take_built(-1);
    DBLOCKS_CHECK(!shared_, CheckpointError,
                  "{}. Hint: run the same command again, it goes on from the "
                  "newest checkpoints",
                  error.what());
    pager_->drain();
    commits_.collect();
    go_back(unit, error.what());
  }

  /// To the newest checkpoint of a unit whose state is gone.
  void go_back(int64_t unit, const std::string& why) {
    log().warn("{}; block {} goes back from step {} to its checkpoint of {}",
               why, unit, steps_[unit], commits_.steps()[unit]);
    commits_.go_back(unit);
    steps_[unit] = commits_.steps()[unit];
    batches_.erase(unit);
    logs_.forget(unit);
  }

  /// What policy makes of a step that is not finite: false if the unit has left
  /// memory to go back. *Errors*: ConfigError where there are too many.
  bool handle_bad_step(int64_t unit, const StepResult& result) {
    const int64_t step = steps_[unit] - 1;
    const std::string what =
        fmt::format("[train] loss {} and gradient norm {} in block {}, step {}",
                    result.loss, result.gradient_norm, unit, step);
    LogWindow& window = resident_->window();
    if (setup_.train.on_bad_step == BadStepPolicy::kRollBack &&
        bad_steps_.emplace(unit, step).second) {
      check_not_too_many(
          ++times_back_ <= kMaxTimesBack, what,
          fmt::format("{} times back to checkpoints", kMaxTimesBack));
      discard_resident();
      go_back(unit, what);
      return false;
    }
    ++window.num_bad;
    ++window.bad_in_a_row;
    check_not_too_many(window.bad_in_a_row < kMaxBadInARow, what,
                       fmt::format("{} such steps in a row", kMaxBadInARow));
    log().warn("{}: the step is skipped", what);
    return true;
  }

  static void check_not_too_many(bool is_few,
                                 const std::string& what,
                                 const std::string& how_many) {
    DBLOCKS_CHECK(is_few, ConfigError,
                  "{}, after {}: expected a finite loss and gradient. Hint: "
                  "lower optim.learning_rate or set optim.clip_norm",
                  what, how_many);
  }

  /// Takes the resident unit out of memory without a trace.
  void discard_resident() {
    const int64_t unit = resident_unit_;
    stepper_.forget();
    commits_when_left_ = false;
    if (device_tier_) {
      synchronize(options_.device);
      device_tier_->release(unit);
    }
    resident_.reset();
    pager_->leave(unit, memory::Pager::Use::kSpoiled);
    pager_->drain();
    commits_.collect();
  }

  /// Starts to bring in the unit that follows a visit.
  void prefetch_after(const Visit& visit) {
    std::vector<int64_t> then = steps_;
    then[visit.unit] += visit.steps;
    const std::optional<Visit> following = next(then);
    // Making a state anew attaches to the shared parts, which are in use.
    if (following && following->unit != visit.unit &&
        (!shared_ || was_loaded_[following->unit])) {
      prefetch(following->unit);
    }
  }

  void prefetch(int64_t unit) {
    if (!device_tier_ || device_tier_->find(unit)) {
      pager_->prefetch(unit, fill_of(unit));
      return;
    }
    const std::optional<int64_t> slot = device_tier_->reserve(unit);
    std::function<void(std::span<std::byte>)> copy_in;
    if (slot) {
      copy_in = [this, unit, slot](std::span<std::byte> bytes) {
        device_tier_->copy_in(*slot, bytes);
        // Attaching to shared parts is for the thread that uses them, and
        // there is no room yet for the float32 weights of a state in bf16.
        if (!shared_ &&
            setup_.optim.state_format().weights == WeightFormat::kFp32) {
          auto built = build(unit, device_tier_->storage(*slot, bytes.size()));
          const std::scoped_lock lock(built_mutex_);
          built_ = {unit, std::move(built)};
        }
      };
    }
    if (!pager_->prefetch(unit, fill_of(unit), copy_in)) {
      device_tier_->release(unit);
    }
  }

  /// With steps_per_visit = auto: long enough that moving states hides behind
  /// the steps of a visit with half of them to spare, or, where they cannot
  /// overlap, costs a twentieth of them.
  void choose_visit_steps() {
    const memory::PagerStats paging = pager_->stats();
    double move = in_and_out(paging.seconds_in, paging.num_in,
                             paging.seconds_out, paging.num_out);
    if (device_tier_) {
      const DeviceTraffic in = device_tier_->traffic_in();
      const DeviceTraffic out = device_tier_->traffic_out();
      move +=
          in_and_out(in.seconds, in.num_states, out.seconds, out.num_states);
    }
    if (setup_.train.steps_per_visit > 0 || move == 0 || time_.num_steps == 0) {
      return;
    }
    const double step = time_.mean_step_seconds();
    const double factor = pager_->num_arenas() > 1 ? 2 : 20;
    const auto wanted = static_cast<int64_t>(std::ceil(std::clamp<double>(
        factor * move / step, 1, static_cast<double>(setup_.train.steps))));
    const auto present = static_cast<double>(visit_steps_);
    if (std::abs(static_cast<double>(wanted) - present) > 0.25 * present) {
      visit_steps_ = wanted;
      log().info(
          "[train] visits of {} steps: a state moves in and out in {:.3f} s, a "
          "step takes {:.3f} s",
          wanted, move, step);
    }
  }

  void load_context(const tasks::Context& context) {
    pager_->drain();
    commits_.collect();
    DBLOCKS_CHECK(steps_[context.unit] == setup_.train.steps, CheckpointError,
                  "[train] expected block {} to be finished, found it at step "
                  "{} of {}: greedy training reads its features",
                  context.unit, steps_[context.unit], setup_.train.steps);
    load_parameters(context.parameters,
                    commits_.home(context.unit) / checkpoint::kWeightsName);
  }

  /// Takes the resident unit out of use; the pager has its state.
  void unload() {
    if (!resident_) {
      return;
    }
    const int64_t unit = resident_unit_;
    stepper_.forget();
    if (const auto found = batches_.find(unit); found != batches_.end()) {
      found->second->rest();
    }
    windows_[unit] = resident_->window();
    resident_->owned().release_workspace();
    using Use = memory::Pager::Use;
    Use use = steps_[unit] != step_at_load_ ? Use::kChanged : Use::kRead;
    if (is_last_step(unit) &&
        (commits_when_left_ || commits_.staged(unit) == steps_[unit])) {
      use = Use::kFinished;
    }
    memory::Pager::Leaving leaving;
    if (std::exchange(commits_when_left_, false)) {
      leaving.task = commit_task();
    }
    if (device_tier_) {
      synchronize(options_.device);
      if (steps_[unit] != step_at_load_) {
        leaving.copy = [this, slot = *device_tier_->find(unit),
                        bytes = resident_arena_] {
          device_tier_->copy_out(slot, bytes);
        };
      }
      device_tier_->release(unit);
    }
    pager_->leave(unit, use, std::move(leaving));
    resident_.reset();
  }

  /// Takes the next step; false if the unit has gone back to a checkpoint
  /// instead.
  bool take_step(int64_t unit, int64_t left_of_visit) {
    load(unit);  // a commit of all may have loaded another one
    const Clock::time_point start = Clock::now();
    const double waited = batches(unit).wait_seconds();
    const auto [host, tensors] = batches(unit).next();
    const data::Batch& batch = *host;
    time_.data_wait_seconds += batches(unit).wait_seconds() - waited;
    const tasks::StepKey key{setup_.task.seed, unit, steps_[unit]};
    const StepResult result =
        stepper_.step(*resident_, tensors, key, step_options_, left_of_visit);
    steps_[unit] = resident_->step();
    time_.step_seconds += seconds_since(start);
    ++time_.num_steps;
    time_.num_images += batch.num_samples;
    if (!result.is_bad) {
      count(batch.num_samples, result);
    } else if (!handle_bad_step(unit, result)) {
      return false;
    }
    write_events(unit, batch);
    write_log(unit, result);
    if (is_commit_due(unit)) {
      commit_all_or_resident(/*is_last_of_visit=*/left_of_visit == 1);
    }
    show_progress(unit, result);
    return true;
  }

  DeviceBatches& batches(int64_t unit) {
    auto& slot = batches_[unit];
    if (!slot) {
      slot = std::make_unique<DeviceBatches>(
          train_set_, setup_.loader, steps_[unit], options_.device,
          /*copies_ahead=*/!options_.device.is_cpu());
    }
    return *slot;
  }

  void count(int64_t samples, const StepResult& result) {
    LogWindow& window = resident_->window();
    window.loss_sum += result.loss;
    window.num_correct += result.num_correct;
    window.num_samples += samples;
    ++window.num_steps;
    window.bad_in_a_row = 0;
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
        {"images_per_second", time_.images_per_second()},
        {"peak_tensor_bytes", memory::device_peak_bytes(options_.device)},
        {"data_wait_share", time_.share(time_.data_wait_seconds)},
        {"commit_wait_share", time_.share(time_.commit_seconds)},
        {"paging_wait_share", time_.share(time_.paging_wait_seconds)},
        {"paging_hidden_share", paging_hidden_share()}};
    if (std::isnan(line["accuracy"].get<double>())) {
      line.erase("accuracy");
    }
    if (window.num_bad > 0) {
      line["bad_steps"] = window.num_bad;
    }
    logs_.write(unit, line);
    window = {.bad_in_a_row = window.bad_in_a_row};
  }

  void write_events(int64_t unit, const data::Batch& batch) {
    if (steps_[unit] == 1) {
      logs_.events(unit).write_batch(1, batch, train_set_.info(),
                                     setup_.loader);
    }
    const int64_t distance = setup_.report.histograms_every_steps;
    if (distance > 0 && steps_[unit] % distance == 0) {
      logs_.events(unit).write_histograms(steps_[unit], resident_->unit());
    }
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

  void commit_all_or_resident(bool is_last_of_visit) {
    if (shared_) {
      commit_all();
    } else if (is_last_of_visit && can_commit_when_left()) {
      commits_when_left_ = true;
    } else {
      commit_resident(/*waits=*/false);
    }
  }

  /// Whether the resident unit is about to leave for another one, so that its
  /// checkpoint can be written from the arena while that one trains.
  bool can_commit_when_left() const {
    if (pager_->num_arenas() < 2) {
      return false;
    }
    const std::optional<Visit> following = next(steps_);
    return following && following->unit != resident_unit_;
  }

  /// The commit of the resident unit, for the pager's thread of tasks.
  std::function<void()> commit_task() {
    const int64_t unit = resident_unit_;
    // From a device the state is in its arena before the task runs.
    return [this, unit, sync_log = logs_.sync_of(unit), step = steps_[unit],
            window = resident_->window(), bytes = resident_arena_,
            resident = device_tier_ ? nullptr : resident_,
            manifest = resident_manifest()] {
      sync_log();
      const auto state = resident ? resident : state_in(bytes, unit, step);
      state->window() = window;
      commits_.commit(unit, step, state->files(), manifest);
    };
  }

  /// The state of an idle unit in its arena, as one of the CPU.
  std::shared_ptr<UnitState> state_in(std::span<std::byte> bytes,
                                      int64_t unit,
                                      int64_t step) const {
    const nn::PlaceholderGuard no_values;
    auto state = std::make_shared<UnitState>(
        task_.make_unit(unit), setup_.optim, nullptr, at::kCPU,
        as_storage(bytes), FlatState::Contents::kState);
    state->owned().step = step;
    return state;
  }

  /// Makes the state of every unit durable.
  void commit_all() {
    pager_->drain();
    commits_.collect();
    const bool is_shared_dirty = shared_ && is_any_dirty();
    if (resident_ && is_dirty(resident_unit_)) {
      commit_resident(/*waits=*/true);
    }
    for (int64_t unit = 0; unit < task_.num_units(); ++unit) {
      if (is_dirty(unit)) {
        load(unit);
        // Loading may have found a damaged page and gone back.
        if (is_dirty(unit)) {
          commit_resident(/*waits=*/true);
        }
      }
    }
    // Last, because it names the steps of the others: with it the commit is
    // complete, without it the one before still is.
    if (is_shared_dirty) {
      commit_shared();
    }
  }

  bool is_dirty(int64_t unit) const {
    return steps_[unit] != commits_.steps()[unit];
  }
  bool is_any_dirty() const { return steps_ != commits_.steps(); }

  /// Writes the resident unit's state as it is now. The disk is waited for by
  /// the pager's thread of tasks, and here only if `waits` or at the end.
  void commit_resident(bool waits) {
    const Clock::time_point start = Clock::now();
    const int64_t unit = resident_unit_;
    commits_when_left_ = false;
    pager_->drain_tasks();  // the commit before this one
    commits_.collect();
    auto finish = commits_.stage(unit, steps_[unit], resident_->files(),
                                 resident_manifest());
    std::function<void()> task = [finish = std::move(finish),
                                  sync_log = logs_.sync_of(unit)] {
      sync_log();
      finish();
    };
    const bool is_last = is_stopped() || !next(steps_);
    if (waits || is_last) {
      task();
      commits_.collect();
    } else {
      pager_->run(fmt::format("the checkpoint of block {}", unit),
                  std::move(task));
    }
    // At the end of a run there is nothing left to hold up.
    if (!is_last) {
      time_.commit_seconds += seconds_since(start);
      ++time_.num_commits;
    }
  }

  checkpoint::Manifest resident_manifest() const {
    return unit_manifest(setup_, task_, resident_unit_,
                         resident_->frozen_hash());
  }

  void commit_shared() {
    const Clock::time_point start = Clock::now();
    auto files = state_files(*shared_);
    files.push_back(checkpoint::text_file(
        checkpoint::kStateName, shared_state_text(shared_->step, steps_)));
    shared_store_->commit(shared_->step, files,
                          {.unit = checkpoint::UnitKind::kShared,
                           .num_blocks = task_.num_units(),
                           .recipe_fingerprint = setup_.fingerprint});
    time_.commit_seconds += seconds_since(start);
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

  /// The share of moving and committing states that steps did not wait for.
  double paging_hidden_share() const {
    const double busy = pager_->stats().busy_seconds;
    return busy > 0 ? std::max(0.0, 1 - time_.paging_wait_seconds / busy) : 1;
  }

  double paging_hidden_to_show() const {
    const memory::PagerStats paging = pager_->stats();
    return paging.num_in + paging.num_out > 0 ? paging_hidden_share() : NAN;
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
    const int64_t peak = memory::device_peak_bytes(options_.device);
    const UnitLogs::Logged logged = logs_.last(unit);
    options_.on_progress(
        {.block = unit,
         .num_blocks = task_.num_units(),
         .step = steps_[unit],
         .steps = setup_.train.steps,
         .loss = result.loss,
         .accuracy =
             share_correct(result.num_correct, setup_.loader.batch_size),
         .logged_loss = logged.loss,
         .logged_accuracy = logged.accuracy,
         .images_per_second = time_.images_per_second(),
         .memory_bytes = peak > 0 ? peak : -1,
         .data_wait_share = time_.share(time_.data_wait_seconds),
         .paging_hidden_share = paging_hidden_to_show(),
         .seconds_left = time_.seconds() /
                         static_cast<double>(time_.num_steps) *
                         static_cast<double>(steps_left())});
  }

  RunSetup setup_;
  std::unique_ptr<tasks::Task> made_task_;
  const tasks::Task& task_;
  const data::Dataset& train_set_;
  RunFolder folder_;
  TrainerOptions options_;
  StepOptions step_options_;
  Stepper stepper_;

  std::vector<checkpoint::Lease> leases_;
  std::optional<checkpoint::CheckpointStore> shared_store_;
  std::vector<int64_t> steps_;      // done, per unit
  std::vector<LogWindow> windows_;  // of units that are not resident
  std::vector<bool> was_loaded_;

  std::unique_ptr<FlatState> shared_;
  std::shared_ptr<UnitState> resident_;
  int64_t resident_unit_ = -1;
  std::span<std::byte> resident_arena_;
  int64_t step_at_load_ = 0;
  bool commits_when_left_ = false;
  int64_t visit_steps_;

  // The unit that has arrived on the device last, by the pager's thread.
  std::mutex built_mutex_;
  std::pair<int64_t, std::shared_ptr<UnitState>> built_{-1, nullptr};

  std::map<int64_t, std::unique_ptr<DeviceBatches>> batches_;
  UnitCommits commits_;
  UnitLogs logs_;
  TimeAccount time_;
  // Steps that a unit went back for, and how often any did.
  std::set<std::pair<int64_t, int64_t>> bad_steps_;
  int64_t times_back_ = 0;

  std::vector<StateArena> arenas_;
  std::optional<DeviceTier> device_tier_;
  std::unique_ptr<memory::Pager> pager_;  // last: its thread uses the others
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
