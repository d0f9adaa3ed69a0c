// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "dblocks/config/field_list.h"
#include "dblocks/config/ranges.h"
#include "tests/config/testing.h"

namespace dblocks::config {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

RunConfig valid() {
  RunConfig config;
  config.train.steps = 1500;
  return config;
}

/// The error of a valid config after `change`.
template <class Change>
std::string error_after(Change change) {
  RunConfig config = valid();
  change(config);
  return config_error([&] { validate(config); });
}

TEST(RangesTest, EveryNumericKeyHasARangeThatHoldsItsDefault) {
  for (const Field& field : list_fields(valid()).fields) {
    const bool is_numeric =
        std::holds_alternative<int64_t>(field.value) ||
        std::holds_alternative<double>(field.value) ||
        std::holds_alternative<std::vector<int64_t>>(field.value) ||
        std::holds_alternative<std::vector<double>>(field.value);
    EXPECT_EQ(is_numeric, find_range(field.key) != nullptr) << field.key;
  }
  EXPECT_NO_THROW(check_ranges(list_fields(valid())));
  EXPECT_EQ(describe(*find_range("model.dropout")), "in [0, 1)");
  EXPECT_EQ(describe(*find_range("optim.eps")), "above 0");
}

TEST(RangesTest, NoNumberMayBeNanOrInfinite) {
  const FieldList list = list_fields(valid());
  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    for (const Field& field : list.fields) {
      if (!std::holds_alternative<double>(field.value)) {
        continue;
      }
      FieldList changed = list;
      changed.find(field.key)->value = bad;
      EXPECT_THAT(config_error([&] { validate(config_of(changed)); }),
                  HasSubstr("expected " + field.key))
          << bad;
    }
  }
  EXPECT_THAT(error_after([](auto& c) {
                c.data.std = {0.5, std::nan("")};
              }),
              HasSubstr("expected data.std above 0"));
}

TEST(RangesTest, NumbersOutOfRangeNameTheKey) {
  EXPECT_THAT(error_after([](auto& c) { c.model.dropout = 1; }),
              HasSubstr("expected model.dropout in [0, 1), found 1.0"));
  EXPECT_THAT(error_after([](auto& c) { c.task.anchor = 1.5; }),
              HasSubstr("expected classification.anchor in [0, 1]"));
  EXPECT_THAT(error_after([](auto& c) { c.seed = -1; }),
              HasSubstr("expected seed at least 0, found -1"));
  EXPECT_THAT(error_after([](auto& c) { c.data.batch_size = 0; }),
              HasSubstr("data.batch_size"));
  EXPECT_THAT(error_after([](auto& c) { c.checkpoint.keep = 1; }),
              HasSubstr("checkpoint.keep"));
  EXPECT_THAT(error_after([](auto& c) { c.format = 2; }),
              HasSubstr("expected format 1, found 2"));
  EXPECT_THAT(error_after([](auto& c) {
                c.model.num_layers = std::numeric_limits<int64_t>::max();
              }),
              HasSubstr("model.num_layers"));
}

TEST(ValidateTest, TheDefaultsWithALengthAreValid) {
  EXPECT_NO_THROW(validate(valid()));
}

TEST(ValidateTest, HeadsDivideTheWidth) {
  EXPECT_THAT(error_after([](auto& c) { c.model.heads = 5; }),
              AllOf(HasSubstr("model.heads"), HasSubstr("model.width"),
                    HasSubstr("5 heads and width 128")));
}

TEST(ValidateTest, BlocksDivideTheLayersUnlessASplitIsListed) {
  EXPECT_THAT(error_after([](auto& c) { c.blocks.num_blocks = 4; }),
              AllOf(HasSubstr("4 blocks and 6 layers"),
                    HasSubstr("blocks.layers_per_block")));
  RunConfig listed = valid();
  listed.blocks.num_blocks = 4;
  listed.blocks.layers_per_block = {1, 2, 2, 1};
  EXPECT_NO_THROW(validate(listed));
}

TEST(ValidateTest, AListedSplitFitsBlocksAndLayers) {
  EXPECT_THAT(error_after([](auto& c) {
                c.blocks.layers_per_block = {3, 3};
              }),
              HasSubstr("list 3 numbers"));
  EXPECT_THAT(
      error_after([](auto& c) {
        c.blocks.layers_per_block = {2, 2, 3};
      }),
      AllOf(HasSubstr("add up to the 6 layers"), HasSubstr("[2, 2, 3]")));
  EXPECT_THAT(error_after([](auto& c) {
                c.blocks.layers_per_block = {6, 0, 0};
              }),
              HasSubstr("blocks.layers_per_block"));
}

TEST(ValidateTest, StepsAndEpochsExcludeEachOther) {
  EXPECT_THAT(error_after([](auto& c) { c.train.epochs = 2; }),
              HasSubstr("exactly one of train.steps and train.epochs"));
  EXPECT_THAT(error_after([](auto& c) { c.train.steps = 0; }),
              HasSubstr("steps 0 and epochs 0"));
}

TEST(ValidateTest, TheWarmUpEndsBeforeTraining) {
  EXPECT_THAT(error_after([](auto& c) { c.optim.warmup_steps = 1500; }),
              HasSubstr("optim.warmup_steps below the 1500 steps"));
}

TEST(ValidateTest, GreedyNeedsTheSequentialSchedule) {
  EXPECT_THAT(error_after([](auto& c) {
                c.method = tasks::Method::kGreedy;
                c.train.schedule = train::TrainingSchedule::kRandom;
              }),
              AllOf(HasSubstr("train.schedule = sequential"),
                    HasSubstr("greedy"), HasSubstr("found random")));
}

TEST(ValidateTest, ContradictionsNameBothKeys) {
  EXPECT_THAT(error_after([](auto& c) { c.optim.min_learning_rate = 1; }),
              AllOf(HasSubstr("optim.min_learning_rate"),
                    HasSubstr("optim.learning_rate = 0.001")));
  EXPECT_THAT(
      error_after(
          [](auto& c) { c.optim.ema_evaluate = optim::EmaEvaluate::kFirst; }),
      AllOf(HasSubstr("optim.ema_decay"), HasSubstr("optim.ema_evaluate")));
  EXPECT_THAT(error_after([](auto& c) {
                c.optim.ema_decay = 0.9;
                c.optim.ema_evaluate = optim::EmaEvaluate::kSecond;
              }),
              AllOf(HasSubstr("optim.ema_second_decay"),
                    HasSubstr("optim.ema_evaluate = \"second\"")));
  EXPECT_THAT(error_after([](auto& c) { c.optim.ema_second_decay = 0.9; }),
              AllOf(HasSubstr("optim.ema_decay above 0"),
                    HasSubstr("optim.ema_second_decay = 0.9")));
  EXPECT_THAT(error_after([](auto& c) {
                c.blocks.ownership.head = blocks::Ownership::kFrozen;
              }),
              HasSubstr("blocks.ownership.head"));
  EXPECT_THAT(error_after([](auto& c) { c.data.train_samples = 100; }),
              AllOf(HasSubstr("data.batch_size"),
                    HasSubstr("data.train_samples = 100")));
  EXPECT_THAT(error_after([](auto& c) {
                c.data.mean = {0.1, 0.2};
                c.data.std = {1};
              }),
              HasSubstr("data.mean and data.std"));
}

TEST(ValidateTest, NoiseAndPartitionAreChecked) {
  EXPECT_THAT(error_after([](auto& c) { c.noise.sigma_min = 100; }),
              HasSubstr("noise.sigma_max above noise.sigma_min"));
  EXPECT_THAT(error_after([](auto& c) {
                c.partition.kind = noise::PartitionKind::kListed;
                c.partition.boundaries = {0.002, 1, 80};
              }),
              HasSubstr("partition.boundaries to list 4 values"));
  EXPECT_THAT(error_after([](auto& c) {
                c.partition.boundaries = {0.002, 0.1, 1, 80};
              }),
              HasSubstr("partition.boundaries only with kind"));
}

data::DatasetInfo small_images(int64_t num_classes) {
  data::DatasetInfo info;
  info.name = "small";
  info.channels = 1;
  info.rows = info.columns = 28;
  info.class_names.resize(num_classes);
  return info;
}

TEST(ValidateForDataTest, PatchesTileTheImages) {
  RunConfig config = valid();
  EXPECT_NO_THROW(validate_for_data(config, small_images(10), 1000));
  config.model.patch = 8;
  EXPECT_THAT(
      config_error([&] { validate_for_data(config, small_images(10), 1000); }),
      AllOf(HasSubstr("model.patch"), HasSubstr("28 x 28 pixels of small")));
}

TEST(ValidateForDataTest, AnOrthonormalTableHasRoomForEveryClass) {
  RunConfig config = valid();
  EXPECT_NO_THROW(validate_for_data(config, small_images(128), 1000));
  const auto info = small_images(129);
  EXPECT_THAT(config_error([&] { validate_for_data(config, info, 1000); }),
              AllOf(HasSubstr("129 classes"), HasSubstr("target_table")));
  config.task.target_table = tasks::TargetTable::kUnit;
  EXPECT_NO_THROW(validate_for_data(config, info, 1000));
}

RunConfig generating() {
  RunConfig config = valid();
  config.kind = tasks::TaskKind::kImageGeneration;
  return config;
}

TEST(ValidateGenerationTest, WhatDoesNotFitIsNamed) {
  const auto error_of = [](const auto& change) {
    RunConfig config = generating();
    change(config);
    return config_error([&] { validate(config); });
  };
  EXPECT_NO_THROW(validate(generating()));
  EXPECT_THAT(
      error_of([](RunConfig& c) { c.generation.label_dropout = 0; }),
      AllOf(HasSubstr("sampling.guidance"), HasSubstr("label_dropout")));
  EXPECT_THAT(
      error_of([](RunConfig& c) { c.method = tasks::Method::kEnsemble; }),
      AllOf(HasSubstr("image_generation"), HasSubstr("ensemble")));
  EXPECT_THAT(error_of([](RunConfig& c) { c.dit.patch = 3; }),
              AllOf(HasSubstr("dit.patch"), HasSubstr("found 3")));
  EXPECT_THAT(error_of([](RunConfig& c) {
                c.dit.size = models::DitSize::kCustom;
                c.dit.width = 100;
              }),
              AllOf(HasSubstr("dit.heads"), HasSubstr("100")));
  EXPECT_THAT(error_of([](RunConfig& c) { c.blocks.num_blocks = 5; }),
              HasSubstr("12 layers"));
  EXPECT_THAT(
      error_of([](RunConfig& c) {
        c.sampling.steps_per_block = {4, 4};
      }),
      AllOf(HasSubstr("sampling.steps_per_block"), HasSubstr("found 2")));
  EXPECT_THAT(error_of([](RunConfig& c) {
                c.sampling.guidance_interval = {2, 1};
              }),
              HasSubstr("sampling.guidance_interval"));
}

TEST(ValidateGenerationTest, ThePatchDividesTheImages) {
  RunConfig config = generating();
  config.dit.patch = 8;
  EXPECT_THAT(
      config_error([&] { validate_for_data(config, small_images(10), 1000); }),
      HasSubstr("dit.patch"));
}

TEST(WarningsTest, SettingsOfTheOtherTaskAreNamed) {
  RunConfig config = valid();
  config.dit.patch = 4;
  EXPECT_THAT(warnings(config),
              ElementsAre(HasSubstr("dit.patch = 4 has no effect with task = "
                                    "classification")));
  config = generating();
  EXPECT_THAT(warnings(config), IsEmpty());
  config.model.width = 64;
  EXPECT_THAT(warnings(config), ElementsAre(HasSubstr("model.width")));
}

TEST(ValidateForDataTest, ABatchFitsTheTrainingSet) {
  EXPECT_THAT(
      config_error([&] { validate_for_data(valid(), small_images(10), 127); }),
      AllOf(HasSubstr("data.batch_size"), HasSubstr("127")));
}

TEST(WarningsTest, TheDefaultsGiveNone) {
  for (const auto& entry : tasks::kMethodNames) {
    RunConfig config = valid();
    config.method = entry.value;
    EXPECT_THAT(warnings(config), IsEmpty()) << entry.name;
  }
}

TEST(WarningsTest, ASettingWithoutEffectInTheMethodIsNamed) {
  RunConfig config = valid();
  config.task.anchor = 0.25;
  EXPECT_THAT(warnings(config), IsEmpty());
  config.method = tasks::Method::kEndToEnd;
  EXPECT_THAT(warnings(config),
              ElementsAre(HasSubstr(
                  "classification.anchor = 0.25 has no effect with method = "
                  "end_to_end")));
}

TEST(WarningsTest, SettingsThatNeedAnotherSettingAreNamed) {
  RunConfig config = valid();
  config.train.steps_per_visit = 7;
  config.data.augment.rand_augment_magnitude = 3;
  config.optim.schedule = optim::LearningRateSchedule::kConstant;
  config.optim.min_learning_rate = 1e-5;
  EXPECT_THAT(warnings(config),
              ElementsAre(HasSubstr("rand_augment_magnitude"),
                          HasSubstr("optim.min_learning_rate"),
                          HasSubstr("train.steps_per_visit")));
}

TEST(ValidateTest, VisitsOfAutomaticLengthNeedBlocksOfTheirOwn) {
  RunConfig config = valid();
  config.train.schedule = train::TrainingSchedule::kAlternating;
  config.train.steps_per_visit = 0;
  EXPECT_NO_THROW(validate(config));
  config.blocks.ownership.stem = blocks::Ownership::kShared;
  EXPECT_THAT(config_error([&] { validate(config); }),
              HasSubstr("train.steps_per_visit"));
}

TEST(WarningsTest, MemorySettingsThatSaveNothingAreNamed) {
  RunConfig config = valid();
  config.train.recompute = train::Recompute::kLayer;
  config.train.micro_batch = config.data.batch_size / 2;
  EXPECT_THAT(warnings(config), IsEmpty());
  config.blocks.num_blocks = config.model.num_layers;
  config.train.micro_batch = config.data.batch_size;
  EXPECT_THAT(warnings(config), ElementsAre(HasSubstr("train.recompute"),
                                            HasSubstr("train.micro_batch")));
}

TEST(WarningsTest, SharedPartsInSequenceAreRarelyMeant) {
  RunConfig config = valid();
  config.blocks.ownership.stem = blocks::Ownership::kShared;
  EXPECT_THAT(warnings(config), ElementsAre(HasSubstr("shared parts")));
  config.train.schedule = train::TrainingSchedule::kRandom;
  EXPECT_THAT(warnings(config), IsEmpty());
}

}  // namespace
}  // namespace dblocks::config
