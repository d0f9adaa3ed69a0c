// SPDX-License-Identifier: Apache-2.0
// Output, gradients and 20 training steps of DiT blocks against an independent
// PyTorch implementation, from the same weights, batches and noise.
#include <ATen/Context.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dblocks/tasks/denoising_unit.h"
#include "dblocks/tasks/generation_task.h"
#include "dblocks/tasks/image_denoising_unit.h"
#include "dblocks/train/block_step.h"
#include "dblocks/train/unit_state.h"
#include "tests/twin/support.h"

namespace dblocks {
namespace {

using Json = nlohmann::json;

constexpr int64_t kNumSteps = 20, kBatch = 6;
constexpr uint64_t kSeed = 12;

struct Case {
  std::string name;
  tasks::TaskOptions task;
};

Case base_case(const std::string& name) {
  Case c{.name = name};
  c.task.kind = tasks::TaskKind::kImageGeneration;
  c.task.dit = {.options = {.size = models::DitSize::kCustom,
                            .num_layers = 6,
                            .width = 24,
                            .heads = 3,
                            .patch = 2},
                .channels = 3,
                .rows = 8,
                .columns = 12,
                .num_classes = 5};
  c.task.generation.label_dropout = 0.3;
  c.task.seed = kSeed;
  return c;
}

std::vector<Case> all_cases() {
  std::vector<Case> cases{base_case("blocks"), base_case("end_to_end"),
                          base_case("shallow"), base_case("grey_patch_4")};
  cases[1].task.method = tasks::Method::kEndToEnd;
  cases[2].task.method = tasks::Method::kEndToEndShallow;
  cases[3].task.dit.options.patch = 4;
  cases[3].task.dit.channels = 1;
  cases[3].task.blocks.layers_per_block = {1, 2, 3};
  return cases;
}

/// Trains in this program and leaves behind what the twin needs.
class Trace {
 public:
  Trace(const Case& c, const std::filesystem::path& folder)
      : folder_(folder), task_(c.task) {
    std::filesystem::create_directories(folder);
    at::manual_seed(4);
    make_units();
    for (int64_t step = 0; step < kNumSteps; ++step) {
      take_step(step % task_.num_units());
    }
    testing::save(folder_ / "batches.safetensors", batches_);
    testing::save(folder_ / "expected.safetensors", expected_);
    write_config();
  }

  const std::vector<double>& losses() const { return losses_; }

 private:
  /// Every weight is redrawn, so that parts that start at zero take part.
  void make_units() {
    std::map<std::string, at::Tensor> weights;
    for (int64_t i = 0; i < task_.num_units(); ++i) {
      std::unique_ptr<tasks::Unit> unit = task_.make_unit(i);
      for (const tasks::UnitParameter& p : unit->parameters()) {
        c10::NoGradGuard no_grad;
        weights[p.name] = at::randn(p.tensor.sizes()) * 0.1;
        at::Tensor(p.tensor).copy_(weights.at(p.name));
      }
      states_.push_back(std::make_unique<train::UnitState>(
          std::move(unit), optim_, nullptr, at::kCPU));
    }
    testing::save(folder_ / "weights.safetensors", weights);
  }

  void take_step(int64_t index) {
    const models::DitShape& shape = task_.options().dit;
    const tasks::LabelledBatch batch{
        at::randn({kBatch, shape.channels, shape.rows, shape.columns}) * 0.5,
        at::randint(shape.num_classes, {kBatch}, at::kLong)};
    train::UnitState& state = *states_[index];
    const tasks::StepKey key{kSeed, index, state.step()};
    const tasks::BatchNoise noise = tasks::draw_noise(
        task_.partition(), 0, key, kBatch, batch.images[0].numel());
    const at::Tensor labels =
        tasks::drop_labels(batch.labels, shape.num_classes,
                           task_.options().generation.label_dropout, key);
    const std::string prefix = std::to_string(losses_.size()) + ".";
    batches_[prefix + "images"] = batch.images;
    batches_[prefix + "labels"] = labels;
    batches_[prefix + "sigma"] = noise.sigma;
    batches_[prefix + "noise"] = noise.epsilon;
    if (losses_.empty()) {
      expect(state, {batch.images, labels}, noise);
    }
    const train::StepResult result = train::block_step(
        state, batch, key, {.optim = optim_, .total_steps = kNumSteps});
    losses_.push_back(result.loss);
    learning_rates_.push_back(result.learning_rate);
  }

  /// Output and gradients of the first step, before it is taken.
  void expect(train::UnitState& state,
              const tasks::LabelledBatch& batch,
              const tasks::BatchNoise& noise) {
    const auto& unit =
        dynamic_cast<const tasks::ImageDenoisingUnit&>(state.unit());
    const at::Tensor z = batch.images + noise.epsilon.view_as(batch.images) *
                                            noise.sigma.view({-1, 1, 1, 1});
    expected_["output"] =
        unit.denoise(batch.labels, z, noise.sigma).detach().contiguous();
    state.owned().zero_gradient();
    unit.loss_with_noise(batch, noise).loss.backward();
    for (const auto& item : state.unit().network().named_parameters()) {
      expected_[item.key()] = item.value().grad().clone();
    }
  }

  void write_config() const {
    const models::DitShape& shape = task_.options().dit;
    std::vector<std::pair<int64_t, int64_t>> layers;
    std::vector<int64_t> steps;
    for (int64_t i = 0; i < task_.num_units(); ++i) {
      layers.emplace_back(task_.layers(i).first, task_.layers(i).last);
    }
    for (int64_t i = 0; i < kNumSteps; ++i) {
      steps.push_back(i % task_.num_units());
    }
    const Json config{{"width", shape.options.width},
                      {"heads", shape.options.heads},
                      {"patch", shape.options.patch},
                      {"channels", shape.channels},
                      {"rows", shape.rows},
                      {"columns", shape.columns},
                      {"num_classes", shape.num_classes},
                      {"sigma_data", task_.options().noise.sigma_data},
                      {"layers", layers},
                      {"steps", steps},
                      {"learning_rate", learning_rates_},
                      {"weight_decay", optim_.weight_decay},
                      {"beta1", optim_.beta1},
                      {"beta2", optim_.beta2},
                      {"eps", optim_.eps},
                      {"clip_norm", optim_.clip_norm}};
    std::ofstream(folder_ / "config.json") << config;
  }

  std::filesystem::path folder_;
  tasks::GenerationTask task_;
  const optim::OptimOptions optim_{
      .learning_rate = 2e-3, .weight_decay = 0.05, .warmup_steps = 5};
  std::vector<std::unique_ptr<train::UnitState>> states_;
  std::map<std::string, at::Tensor> batches_, expected_;
  std::vector<double> losses_, learning_rates_;
};

TEST(DitTwinTest, OutputGradientsAndTwentyStepsAgree) {
  if (!testing::can_import("torch")) {
    GTEST_SKIP() << testing::python()
                 << " cannot import torch; ./run_tests sets it up";
  }
  const std::filesystem::path root = testing::make_folder();
  ASSERT_FALSE(root.empty());
  std::string command = testing::python() + " tests/twin/dit_twin.py";
  std::vector<std::vector<double>> ours;
  const std::vector<Case> cases = all_cases();
  for (const Case& c : cases) {
    ours.push_back(Trace(c, root / c.name).losses());
    command += " " + (root / c.name).string();
  }
  const std::vector<std::string> lines = testing::lines_of(command);
  ASSERT_EQ(lines.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    const Json theirs = Json::parse(lines[i]);
    SCOPED_TRACE(cases[i].name);
    const double worst = testing::largest_deviation(
        ours[i], theirs.at("losses").get<std::vector<double>>(), 1e-3);
    const auto output = theirs.at("output").get<double>();
    const auto gradient = theirs.at("gradient").get<double>();
    std::printf("%-14s output %.1e, gradients %.1e, 20 steps %.1e\n",
                cases[i].name.c_str(), output, gradient, worst);
    EXPECT_LT(output, 1e-5);
    EXPECT_LT(gradient, 1e-5);
    EXPECT_LT(worst, 1e-4);
  }
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace dblocks
