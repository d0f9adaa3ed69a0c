// SPDX-License-Identifier: Apache-2.0
// Loss traces of 20 steps against an independent PyTorch implementation, from
// the same weights, batches and noise: every method, every loss weight, both
// forms of the network.
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

#include "dblocks/optim/learning_rate.h"
#include "dblocks/tasks/classification_task.h"
#include "dblocks/tasks/denoising_unit.h"
#include "dblocks/train/block_step.h"
#include "dblocks/train/unit_state.h"
#include "tests/twin/support.h"

namespace dblocks {
namespace {

using Json = nlohmann::json;
using blocks::Ownership;

constexpr int64_t kNumSteps = 20;
constexpr uint64_t kSeed = 11;

struct Case {
  std::string name;
  tasks::TaskOptions task;
  optim::OptimOptions optim;
};

Case base_case(const std::string& name) {
  Case c{.name = name};
  c.task.shape = {.options = {.num_layers = 6,
                              .width = 24,
                              .heads = 3,
                              .mlp_width = 40,
                              .patch = 4},
                  .channels = 3,
                  .rows = 8,
                  .columns = 8,
                  .num_classes = 5};
  c.task.seed = kSeed;
  c.optim = {.learning_rate = 3e-3, .weight_decay = 0.05, .warmup_steps = 5};
  return c;
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const auto& weight : tasks::kLossWeightNames) {
    cases.push_back(base_case("weight_" + std::string(weight.name)));
    cases.back().task.classification.loss_weight = weight.value;
  }
  for (const auto& method : tasks::kMethodNames) {
    cases.push_back(base_case("method_" + std::string(method.name)));
    cases.back().task.method = method.value;
  }
  constexpr auto shared = Ownership::kShared;
  cases.push_back(base_case("published_form"));
  cases.back().task.shape.options.label_input =
      models::LabelInput::kReplaceClassToken;
  cases.back().task.shape.options.modulation = models::Modulation::kPublished;
  cases.back().task.classification.loss_weight = tasks::LossWeight::kPublished;
  cases.back().task.blocks.ownership = {shared, shared, shared,
                                        shared, shared, shared};
  cases.back().optim.weight_decay_on = optim::WeightDecayOn::kAll;
  cases.push_back(base_case("open_gates_uneven_split"));
  cases.back().task.shape.options.gate_init = 1;
  cases.back().task.blocks.layers_per_block = {3, 2, 1};
  cases.push_back(base_case("table_per_block_without_clipping"));
  cases.back().task.blocks.ownership.target_table = Ownership::kPerBlock;
  cases.back().optim.clip_norm = 0;
  return cases;
}

/// The unit of each step: all in turn, but greedy stages one after another.
std::vector<int64_t> unit_order(const Case& c, int64_t num_units) {
  std::vector<int64_t> order;
  for (int64_t i = 0; i < kNumSteps; ++i) {
    order.push_back(c.task.method == tasks::Method::kGreedy
                        ? i * num_units / kNumSteps
                        : i % num_units);
  }
  return order;
}

/// Trains in this program and leaves behind what the twin needs.
class Trace {
 public:
  Trace(const Case& c, const std::filesystem::path& folder)
      : case_(c), folder_(folder), task_(c.task) {
    std::filesystem::create_directories(folder);
    make_units();
    for (const int64_t unit : unit_order(c, task_.num_units())) {
      take_step(unit);
    }
    testing::save(folder_ / "batches.safetensors", batches_);
    write_config();
  }

  const std::vector<double>& losses() const { return losses_; }

 private:
  /// Every weight is redrawn, so that parts that start at zero take part.
  void make_units() {
    at::manual_seed(4);
    std::map<std::string, at::Tensor> weights;
    std::vector<std::unique_ptr<tasks::Unit>> units;
    for (int64_t i = 0; i < task_.num_units(); ++i) {
      units.push_back(task_.make_unit(i));
      for (const tasks::UnitParameter& p : units.back()->parameters()) {
        if (weights.count(p.name) == 0) {
          const double mean = p.name.ends_with("norm.weight") ? 1 : 0;
          weights[p.name] = at::randn(p.tensor.sizes()) * 0.1 + mean;
        }
        c10::NoGradGuard no_grad;
        at::Tensor(p.tensor).copy_(weights.at(p.name));
      }
    }
    testing::save(folder_ / "weights.safetensors", weights);
    shared_ = std::make_unique<FlatState>(train::parameters_of(
        *units.front(), Ownership::kShared, case_.optim.weight_decay_on));
    for (auto& unit : units) {
      states_.push_back(std::make_unique<train::UnitState>(
          std::move(unit), case_.optim, shared_.get(), at::kCPU));
    }
  }

  /// Gives a greedy stage the present weights of the stages before it.
  void refresh_context(int64_t unit) {
    c10::NoGradGuard no_grad;
    for (const tasks::Context& context : states_[unit]->unit().context()) {
      const auto trained = states_[context.unit]->unit().parameters();
      for (size_t i = 0; i < trained.size(); ++i) {
        at::Tensor(context.parameters[i].tensor).copy_(trained[i].tensor);
      }
    }
  }

  void take_step(int64_t unit) {
    refresh_context(unit);
    const auto& shape = case_.task.shape;
    const tasks::LabelledBatch batch{
        at::randn({7, shape.channels, shape.rows, shape.columns}),
        at::randint(shape.num_classes, {7}, at::kLong)};
    const tasks::StepKey key{kSeed, unit, states_[unit]->step()};
    const std::string prefix = std::to_string(losses_.size()) + ".";
    batches_[prefix + "images"] = batch.images;
    batches_[prefix + "labels"] = batch.labels;
    if (case_.task.method == tasks::Method::kDiffusionBlocks) {
      const tasks::BatchNoise noise =
          tasks::draw_noise(task_.partition(), case_.task.classification.anchor,
                            key, 7, shape.options.width);
      batches_[prefix + "sigma"] = noise.sigma;
      batches_[prefix + "noise"] = noise.epsilon;
    }
    const train::StepResult result =
        train::block_step(*states_[unit], batch, key,
                          {.optim = case_.optim, .total_steps = kNumSteps});
    losses_.push_back(result.loss);
    learning_rates_.push_back(result.learning_rate);
  }

  void write_config() const {
    const auto& o = case_.task.shape.options;
    const auto& owners = case_.task.blocks.ownership;
    std::vector<int64_t> layers;
    for (int64_t i = 0; i < task_.num_units(); ++i) {
      layers.push_back(task_.layers(i).num_layers());
    }
    // The shallow baseline is an end-to-end network of fewer layers.
    const bool is_shallow =
        case_.task.method == tasks::Method::kEndToEndShallow;
    const Json config{
        {"method", enum_name(case_.task.method)},
        {"num_layers", is_shallow ? layers[0] : o.num_layers},
        {"width", o.width},
        {"heads", o.heads},
        {"mlp_width", o.mlp_width},
        {"patch", o.patch},
        {"channels", case_.task.shape.channels},
        {"rows", case_.task.shape.rows},
        {"columns", case_.task.shape.columns},
        {"num_classes", case_.task.shape.num_classes},
        {"layer_norm_eps", o.layer_norm_eps},
        {"label_input", enum_name(o.label_input)},
        {"modulation", enum_name(o.modulation)},
        {"gate_init", o.gate_init},
        {"sigma_embedding_width", case_.task.shape.sigma_embedding_width()},
        {"sigma_data", case_.task.noise.sigma_data},
        {"loss_weight", enum_name(case_.task.classification.loss_weight)},
        {"layers_per_block", layers},
        {"steps", unit_order(case_, task_.num_units())},
        {"learning_rate", learning_rates_},
        {"weight_decay", case_.optim.weight_decay},
        {"weight_decay_on", enum_name(case_.optim.weight_decay_on)},
        {"beta1", case_.optim.beta1},
        {"beta2", case_.optim.beta2},
        {"eps", case_.optim.eps},
        {"clip_norm", case_.optim.clip_norm},
        {"ownership",
         {{"stem", enum_name(owners.stem)},
          {"positions", enum_name(owners.positions)},
          {"target_table", enum_name(owners.target_table)},
          {"sigma_embedder", enum_name(owners.sigma_embedder)},
          {"final_norm", enum_name(owners.final_norm)},
          {"head", enum_name(owners.head)}}}};
    std::ofstream(folder_ / "config.json") << config;
  }

  Case case_;
  std::filesystem::path folder_;
  tasks::ClassificationTask task_;
  std::unique_ptr<FlatState> shared_;
  std::vector<std::unique_ptr<train::UnitState>> states_;
  std::map<std::string, at::Tensor> batches_;
  std::vector<double> losses_, learning_rates_;
};

TEST(VitTwinTest, LossTracesAgreeForEveryMethodWeightAndForm) {
  if (!testing::can_import("torch")) {
    GTEST_SKIP() << testing::python()
                 << " cannot import torch; ./run_tests sets it up";
  }
  const std::filesystem::path root = testing::make_folder();
  ASSERT_FALSE(root.empty());
  std::string command = testing::python() + " tests/twin/vit_twin.py";
  std::vector<std::vector<double>> ours;
  const std::vector<Case> cases = all_cases();
  for (const Case& c : cases) {
    ours.push_back(Trace(c, root / c.name).losses());
    command += " " + (root / c.name).string();
  }
  const std::vector<std::string> lines = testing::lines_of(command);
  ASSERT_EQ(lines.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(cases[i].name);
    const double worst = testing::largest_deviation(
        ours[i], Json::parse(lines[i]).at("losses").get<std::vector<double>>(),
        1e-4);
    EXPECT_LT(worst, 1e-4);
    RecordProperty("worst_" + cases[i].name, std::to_string(worst));
    std::printf("%-40s largest relative deviation %.1e\n",
                cases[i].name.c_str(), worst);
  }
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace dblocks
