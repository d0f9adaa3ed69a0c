// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/validate.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <iterator>
#include <string_view>
#include <vector>

#include "dblocks/blocks/split.h"
#include "dblocks/config/field_list.h"
#include "dblocks/config/ranges.h"
#include "dblocks/core/error.h"

namespace dblocks::config {

namespace {

using tasks::Method;

void validate_model(const models::VitOptions& model) {
  DBLOCKS_CHECK(model.width % model.heads == 0, ConfigError,
                "[config] expected model.heads to divide model.width, found "
                "{} heads and width {}",
                model.heads, model.width);
  DBLOCKS_CHECK(model.sigma_embedding_width > 0 || model.width >= 6,
                ConfigError,
                "[config] expected model.width of at least 6, found {}. Hint: "
                "or set model.sigma_embedding_width",
                model.width);
}

void validate_dit(const models::DitOptions& given) {
  const models::DitOptions dit = models::resolve(given);
  DBLOCKS_CHECK(dit.width % dit.heads == 0 && dit.width % 4 == 0, ConfigError,
                "[config] expected dit.width to be a multiple of 4 and of "
                "dit.heads, found {} heads and width {}",
                dit.heads, dit.width);
  DBLOCKS_CHECK(dit.patch == 2 || dit.patch == 4 || dit.patch == 8, ConfigError,
                "[config] expected dit.patch = 2, 4 or 8, found {}", dit.patch);
}

/// A range of sigma that may be left empty.
void validate_interval(std::string_view key, const std::vector<double>& ends) {
  DBLOCKS_CHECK(ends.empty() || (ends.size() == 2 && ends[0] <= ends[1]),
                ConfigError,
                "[config] expected {} to be empty or two ascending numbers, "
                "found {}",
                key, to_toml(ends));
}

void validate_generation(const RunConfig& config) {
  DBLOCKS_CHECK(config.evaluation.noise_levels != 1, ConfigError,
                "[config] expected evaluation.noise_levels = 0 or at least 2, "
                "the ends of the noise axis, found 1");
  const auto& sampling = config.sampling;
  validate_interval("sampling.guidance_interval", sampling.guidance_interval);
  validate_interval("sampling.churn_interval", sampling.churn_interval);
  if (!config.generates_images()) {
    return;
  }
  validate_dit(config.dit);
  DBLOCKS_CHECK(config.method == Method::kDiffusionBlocks ||
                    config.method == Method::kEndToEnd ||
                    config.method == Method::kEndToEndShallow,
                ConfigError,
                "[config] expected method = diffusion_blocks, end_to_end or "
                "end_to_end_shallow with task = image_generation, found {}",
                enum_name(config.method));
  DBLOCKS_CHECK(sampling.guidance == 1 || config.generation.label_dropout > 0,
                ConfigError,
                "[config] expected sampling.guidance = 1 with "
                "generation.label_dropout = 0, whose network knows no missing "
                "label, found {}",
                sampling.guidance);
  const int64_t num_intervals =
      config.method == Method::kDiffusionBlocks ? config.blocks.num_blocks : 1;
  DBLOCKS_CHECK(
      sampling.steps_per_block.empty() ||
          std::ssize(sampling.steps_per_block) == num_intervals,
      ConfigError,
      "[config] expected sampling.steps_per_block to list {} numbers, one per "
      "block, found {}",
      num_intervals, sampling.steps_per_block.size());
}

void validate_noise(const RunConfig& config) {
  noise::validate(config.noise);
  // Making a partition checks the rest of its options.
  const noise::Partition partition(noise::resolve(config.noise),
                                   config.partition, config.blocks.num_blocks);
}

void validate_length(const RunConfig& config) {
  const auto& train = config.train;
  DBLOCKS_CHECK((train.steps > 0) != (train.epochs > 0), ConfigError,
                "[config] expected exactly one of train.steps and "
                "train.epochs above 0, found steps {} and epochs {}",
                train.steps, train.epochs);
  DBLOCKS_CHECK(train.steps == 0 || config.optim.warmup_steps < train.steps,
                ConfigError,
                "[config] expected optim.warmup_steps below the {} steps of a "
                "block (train.steps or train.epochs), found {}",
                train.steps, config.optim.warmup_steps);
}

void validate_optim(const optim::OptimOptions& optim) {
  DBLOCKS_CHECK(optim.min_learning_rate <= optim.learning_rate, ConfigError,
                "[config] expected optim.min_learning_rate of at most "
                "optim.learning_rate = {}, found {}",
                optim.learning_rate, optim.min_learning_rate);
  DBLOCKS_CHECK(optim.ema_second_decay == 0 || optim.ema_decay > 0, ConfigError,
                "[config] expected optim.ema_decay above 0 with "
                "optim.ema_second_decay = {}, found 0: the second average is "
                "kept beside the first",
                optim.ema_second_decay);
  const auto check_kept = [&](optim::EmaEvaluate which, const char* key,
                              double decay) {
    DBLOCKS_CHECK(optim.ema_evaluate != which || decay > 0, ConfigError,
                  "[config] expected {} above 0 with optim.ema_evaluate = "
                  "\"{}\", found 0: no such average is kept",
                  key, enum_name(which));
  };
  check_kept(optim::EmaEvaluate::kFirst, "optim.ema_decay", optim.ema_decay);
  check_kept(optim::EmaEvaluate::kSecond, "optim.ema_second_decay",
             optim.ema_second_decay);
}

void validate_data(const data::DataOptions& data) {
  DBLOCKS_CHECK(
      data.train_samples == 0 || data.train_samples >= data.batch_size,
      ConfigError,
      "[config] expected data.batch_size of at most data.train_samples "
      "= {}, found {}",
      data.train_samples, data.batch_size);
  DBLOCKS_CHECK(
      data.mean.size() == data.std.size() || data.mean.empty() ||
          data.std.empty(),
      ConfigError,
      "[config] expected data.mean and data.std of one length, one number per "
      "channel, found {} and {}",
      data.mean.size(), data.std.size());
}

void validate_method(const RunConfig& config) {
  DBLOCKS_CHECK(
      config.method != Method::kGreedy ||
          config.train.schedule == train::TrainingSchedule::kSequential,
      ConfigError,
      "[config] expected train.schedule = sequential with method = "
      "greedy, whose blocks read the finished ones before, found {}",
      enum_name(config.train.schedule));
  DBLOCKS_CHECK(
      config.train.steps_per_visit > 0 ||
          config.method != Method::kDiffusionBlocks ||
          !blocks::has_shared_parts(config.blocks.ownership),
      ConfigError,
      "[config] expected a number for train.steps_per_visit, found auto with "
      "shared parts (blocks.ownership): the order of steps, which then decides "
      "the result, would hang on the machine's speed");
  DBLOCKS_CHECK(
      config.train.on_bad_step != train::BadStepPolicy::kRollBack ||
          config.method != Method::kDiffusionBlocks ||
          !blocks::has_shared_parts(config.blocks.ownership),
      ConfigError,
      "[config] expected train.on_bad_step = fail or skip with shared parts "
      "(blocks.ownership), found roll_back: one block cannot go back without "
      "the others");
  DBLOCKS_CHECK(config.method != Method::kDiffusionBlocks ||
                    config.blocks.ownership.head != blocks::Ownership::kFrozen,
                ConfigError,
                "[config] expected blocks.ownership.head = per_block or "
                "shared, found frozen: the head starts at zero and "
                "would stay there");
}

}  // namespace

void validate(const RunConfig& config) {
  check_ranges(list_fields(config));
  validate_model(config.model);
  validate_generation(config);
  blocks::validate(config.blocks, config.num_layers());
  validate_noise(config);
  validate_length(config);
  validate_optim(config.optim);
  validate_data(config.data);
  validate_method(config);
}

void validate_for_data(const RunConfig& config,
                       const data::DatasetInfo& info,
                       int64_t train_size) {
  const bool generates = config.generates_images();
  const int64_t patch = generates ? config.dit.patch : config.model.patch;
  DBLOCKS_CHECK(
      info.rows % patch == 0 && info.columns % patch == 0, ConfigError,
      "[config] expected {}.patch to divide the {} x {} pixels "
      "of {}, found {}",
      generates ? "dit" : "model", info.rows, info.columns, info.name, patch);
  DBLOCKS_CHECK(
      generates || config.method != Method::kDiffusionBlocks ||
          config.task.target_table != tasks::TargetTable::kOrthonormal ||
          info.num_classes() <= config.model.width,
      ConfigError,
      "[config] expected model.width of at least the {} classes of {} with "
      "classification.target_table = orthonormal, found {}. Hint: random_unit "
      "takes any width",
      info.num_classes(), info.name, config.model.width);
  DBLOCKS_CHECK(config.data.batch_size <= train_size, ConfigError,
                "[config] expected data.batch_size of at most the {} training "
                "images of {}, found {}",
                train_size, info.name, config.data.batch_size);
}

}  // namespace dblocks::config
