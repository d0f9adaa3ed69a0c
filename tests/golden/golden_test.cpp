// SPDX-License-Identifier: Apache-2.0
// Agreement with tensors computed by the published implementation. The folder
// is chosen by DBLOCKS_GOLDEN; sizes, blocks and steps come from its files.
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/full.h>
#include <ATen/ops/softmax.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "dblocks/noise/inference_schedule.h"
#include "dblocks/sampling/euler.h"
#include "dblocks/tasks/baseline_units.h"
#include "dblocks/tasks/bridge.h"
#include "dblocks/tasks/classification_task.h"
#include "dblocks/tasks/denoising_unit.h"
#include "dblocks/train/block_step.h"
#include "dblocks/train/unit_state.h"
#include "tests/golden/published_weights.h"

namespace dblocks::golden {
namespace {

double largest_difference(const at::Tensor& found, const at::Tensor& expected) {
  return (found.detach() - expected).abs().max().item<double>();
}

/// Largest difference, as a share of the expected tensor's largest entry.
double deviation(const at::Tensor& found, const at::Tensor& expected) {
  const double scale = expected.abs().max().item<double>();
  const double difference = largest_difference(found, expected);
  return scale > 0 ? difference / scale : difference;
}

class golden_vit : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(folder() / "config.json")) {
      GTEST_SKIP() << "no golden tensors in " << folder();
    }
    cases_ = read_file("cases.safetensors");
    task_ = std::make_unique<tasks::ClassificationTask>(
        task_options(tasks::Method::kDiffusionBlocks));
  }

  std::unique_ptr<tasks::DenoisingUnit> make_block(int64_t block,
                                                   const Tensors& weights) {
    auto unit = task_->make_unit(block);
    fill(unit->parameters(), weights);
    return std::unique_ptr<tasks::DenoisingUnit>(
        dynamic_cast<tasks::DenoisingUnit*>(unit.release()));
  }

  tasks::LabelledBatch batch() const {
    return {cases_.at("pixel_values"), cases_.at("labels")};
  }

  tasks::BatchNoise noise(int64_t block) const {
    return {of_block(block, "sigma"), of_block(block, "noise")};
  }

  at::Tensor of_block(int64_t block, const char* what) const {
    return cases_.at("block" + std::to_string(block) + "." + what);
  }

  Tensors cases_;
  std::unique_ptr<tasks::ClassificationTask> task_;
};

TEST_F(golden_vit, NoisyLabelsAreNormalisedRowsPlusNoise) {
  const at::Tensor table =
      read_published("dblock_weights.safetensors").at("target_table");
  for (int64_t b = 0; b < task_->num_units(); ++b) {
    const at::Tensor z =
        tasks::clean_targets(table, cases_.at("labels")) +
        of_block(b, "noise") * of_block(b, "sigma").unsqueeze(-1);
    EXPECT_LT(deviation(z, of_block(b, "noisy")), 1e-6) << "block " << b;
  }
}

TEST_F(golden_vit, LogitsAndLossesOfEveryBlockAgree) {
  const Tensors weights = read_published("dblock_weights.safetensors");
  for (int64_t b = 0; b < task_->num_units(); ++b) {
    const auto unit = make_block(b, weights);
    const at::Tensor logits = unit->denoiser().logits(
        batch().images, of_block(b, "noisy"), of_block(b, "sigma"));
    EXPECT_LT(deviation(logits, of_block(b, "logits")), 1e-5) << "block " << b;
    const at::Tensor cross_entropy =
        at::cross_entropy_loss(logits, batch().labels, {}, at::Reduction::None);
    EXPECT_LT(deviation(cross_entropy, of_block(b, "cross_entropy")), 1e-5)
        << "block " << b;
    const at::Tensor loss = unit->loss_with_noise(batch(), noise(b)).loss;
    EXPECT_LT(deviation(loss, of_block(b, "loss").squeeze()), 1e-5)
        << "block " << b;
  }
}

TEST_F(golden_vit, GradientsOfEveryBlockAgreeAndNoOthersExist) {
  const Tensors weights = read_published("dblock_weights.safetensors");
  for (int64_t b = 0; b < task_->num_units(); ++b) {
    const auto unit = make_block(b, weights);
    unit->loss_with_noise(batch(), noise(b)).loss.backward();
    const Tensors expected = read_published("dblock_grads_block" +
                                            std::to_string(b) + ".safetensors");
    std::set<std::string> names;
    for (const tasks::UnitParameter& p : unit->parameters()) {
      names.insert(p.name);
      ASSERT_EQ(expected.count(p.name), 1u) << "block " << b << " " << p.name;
      ASSERT_TRUE(p.tensor.grad().defined()) << "block " << b << " " << p.name;
      EXPECT_LT(deviation(p.tensor.grad(), expected.at(p.name)), 1e-5)
          << "block " << b << " " << p.name;
    }
    EXPECT_EQ(names.size(), expected.size()) << "block " << b;
  }
}

TEST_F(golden_vit, WeightsAfterStepsAgreeAndIdleBlocksKeepTheirBits) {
  const StepsFile steps = steps_file();
  const Tensors before = read_published("dblock_weights.safetensors");
  const Tensors after = read_published(steps.name);
  const optim::OptimOptions options{
      .learning_rate = 1e-3,
      .weight_decay = 0.01,
      .clip_norm = 1,
      .schedule = optim::LearningRateSchedule::kConstant,
      .warmup_steps = 0,
      .weight_decay_on = optim::WeightDecayOn::kAll};
  std::vector<std::unique_ptr<train::UnitState>> blocks;
  auto first = make_block(0, before);
  FlatState shared(train::parameters_of(*first, blocks::Ownership::kShared,
                                        options.weight_decay_on));
  for (int64_t b = 0; b < task_->num_units(); ++b) {
    blocks.push_back(std::make_unique<train::UnitState>(
        make_block(b, before), options, &shared, at::kCPU));
  }
  for (const int64_t b : steps.blocks) {
    auto& block = dynamic_cast<tasks::DenoisingUnit&>(blocks[b]->unit());
    blocks[b]->owned().zero_gradient();
    shared.zero_gradient();
    const tasks::StepKey key{0, b, blocks[b]->step()};
    train::descend(*blocks[b], block.loss_with_noise(batch(), noise(b)), key,
                   {.optim = options, .total_steps = 10});
  }
  for (int64_t b = 0; b < task_->num_units(); ++b) {
    const auto visits = std::count(steps.blocks.begin(), steps.blocks.end(), b);
    EXPECT_EQ(blocks[b]->step(), visits);
    for (const tasks::UnitParameter& p : blocks[b]->unit().parameters()) {
      const bool is_idle =
          visits == 0 && p.ownership == blocks::Ownership::kPerBlock;
      if (is_idle) {
        EXPECT_TRUE(p.tensor.equal(before.at(p.name))) << p.name;
      }
      EXPECT_LT(largest_difference(p.tensor, after.at(p.name)), 1e-6)
          << "block " << b << " " << p.name;
    }
    if (visits == 0) {
      const at::Tensor& moment = blocks[b]->owned().second_moment();
      EXPECT_EQ(moment.count_nonzero().item<int64_t>(), 0);
    }
  }
}

TEST_F(golden_vit, PublishedInferenceAgrees) {
  c10::InferenceMode inference;
  const Tensors weights = read_published("dblock_weights.safetensors");
  std::vector<std::unique_ptr<tasks::DenoisingUnit>> blocks;
  for (int64_t b = 0; b < task_->num_units(); ++b) {
    blocks.push_back(make_block(b, weights));
  }
  int64_t num_cases = 0;
  for (int64_t calls = 2; calls < 100; ++calls) {
    const std::string name = "inference" + std::to_string(calls) + ".";
    if (cases_.count(name + "logits") == 0) {
      continue;
    }
    ++num_cases;
    const auto schedule = noise::quantile_schedule(task_->partition(), calls);
    at::Tensor z = sampling::initial_state(cases_.at(name + "noise"),
                                           schedule.front().sigma);
    at::Tensor logits;
    for (size_t i = 0; i < schedule.size(); ++i) {
      const auto [sigma, block] = schedule[i];
      EXPECT_NEAR(cases_.at(name + "sigmas")[i].item<double>() / sigma, 1,
                  1e-6);
      EXPECT_EQ(cases_.at(name + "block")[i].item<int64_t>(), block);
      logits = blocks[block]->denoiser().logits(
          batch().images, z, at::full({z.size(0)}, sigma, z.options()));
      if (i + 1 < schedule.size()) {
        const at::Tensor clean =
            tasks::bridge(at::softmax(logits, -1), weights.at("target_table"),
                          task_->options().classification);
        z = sampling::euler_step(z, clean, sigma, schedule[i + 1].sigma);
      }
    }
    EXPECT_LT(deviation(logits, cases_.at(name + "logits")), 1e-5)
        << calls << " calls";
  }
  EXPECT_GE(num_cases, 1);
}

TEST_F(golden_vit, EndToEndBaselineAgrees) {
  const tasks::ClassificationTask task(task_options(tasks::Method::kEndToEnd));
  const auto unit = task.make_unit(0);
  fill(unit->parameters(), read_published("vit_weights.safetensors"));
  const auto& plain = dynamic_cast<const tasks::BaselineUnit&>(*unit);
  EXPECT_LT(deviation(plain.logits(batch().images), cases_.at("vit.logits")),
            1e-5);
  const at::Tensor loss = unit->loss(batch(), {}).loss;
  EXPECT_LT(deviation(loss, cases_.at("vit.loss").squeeze()), 1e-5);
  loss.backward();
  const Tensors expected = read_published("vit_grads.safetensors");
  for (const tasks::UnitParameter& p : unit->parameters()) {
    const std::string prefix = "blocks.0.";
    const std::string name =
        p.name.starts_with(prefix) ? p.name.substr(prefix.size()) : p.name;
    EXPECT_LT(deviation(p.tensor.grad(), expected.at(name)), 1e-5) << name;
  }
}

}  // namespace
}  // namespace dblocks::golden
