// SPDX-License-Identifier: Apache-2.0
// Inception-v3's features and the three ways to scale images for it against an
// independent PyTorch implementation with the same random weights.
#include <ATen/Context.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dblocks/checkpoint/safetensors.h"
#include "dblocks/core/error.h"
#include "dblocks/models/inception.h"
#include "dblocks/tasks/inception_features.h"
#include "tests/twin/support.h"

namespace dblocks {
namespace {

using models::InceptionLayer;
using ::testing::HasSubstr;
using Tensors = std::map<std::string, at::Tensor>;

/// Weights that keep numbers of one size through the network.
Tensors random_weights() {
  Tensors weights;
  for (const InceptionLayer& l : models::inception_layers()) {
    const double inputs = static_cast<double>(l.in * l.rows * l.columns);
    weights[l.name + ".conv.weight"] =
        at::randn({l.out, l.in, l.rows, l.columns}) * std::sqrt(2 / inputs);
    weights[l.name + ".bn.weight"] = 1 + 0.1 * at::randn({l.out});
    weights[l.name + ".bn.bias"] = 0.1 * at::randn({l.out});
    weights[l.name + ".bn.running_mean"] = 0.1 * at::randn({l.out});
    weights[l.name + ".bn.running_var"] = 0.5 + at::rand({l.out});
  }
  return weights;
}

class InceptionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::make_folder();
    ASSERT_FALSE(folder_.empty());
    at::manual_seed(5);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  models::Inception open() const {
    const auto path = folder_ / "weights.safetensors";
    const checkpoint::SafetensorsFile file(path);
    return {file.tensors(), path.string(), at::kCPU};
  }

  /// What opening these weights is refused with.
  std::string refusal(const Tensors& weights) const {
    testing::save(folder_ / "weights.safetensors", weights);
    try {
      open();
    } catch (const CheckpointError& error) {
      return error.what();
    }
    return "";
  }

  std::filesystem::path folder_;
};

TEST_F(InceptionTest, FeaturesAgreeForEveryRuleAndKindOfImage) {
  if (!testing::can_import("torch, PIL")) {
    GTEST_SKIP() << testing::python()
                 << " cannot import torch and PIL; ./run_tests sets them up";
  }
  testing::save(folder_ / "weights.safetensors", random_weights());
  const models::Inception network = open();
  const Tensors images = {
      {"grey", at::randint(256, {2, 28, 28, 1}, at::kByte)},
      {"colour", at::randint(256, {2, 20, 37, 3}, at::kByte)},
      {"large", at::randint(256, {1, 400, 310, 3}, at::kByte)}};
  testing::save(folder_ / "images.safetensors", images);
  Tensors expected;
  for (const auto& [rule, rule_name] : tasks::kInceptionResizeNames) {
    const tasks::InceptionFeatures features(network, "hash", rule);
    for (const auto& [name, pixels] : images) {
      const std::string prefix = std::string(rule_name) + "." + name;
      expected[prefix + ".features"] = features(pixels);
      expected[prefix + ".scaled"] =
          tasks::resize_images(pixels.permute({0, 3, 1, 2}).to(at::kFloat),
                               rule, 299)
              .contiguous();
    }
  }
  testing::save(folder_ / "expected.safetensors", expected);
  const std::vector<std::string> lines = testing::lines_of(
      testing::python() + " tests/twin/inception_twin.py " + folder_.string());
  ASSERT_EQ(lines.size(), 1u);
  const auto found =
      nlohmann::json::parse(lines[0]).get<std::map<std::string, double>>();
  ASSERT_EQ(found.size(), 19u);
  for (const auto& [what, value] : found) {
    if (what == "converted") {
      EXPECT_EQ(value, 1) << "tools/convert_inception.py";
    } else {
      std::printf("%-28s %.1e\n", what.c_str(), value);
      EXPECT_LT(value, 1e-4) << what;
    }
  }
}

TEST_F(InceptionTest, WeightsOfAnythingElseAreRefusedByName) {
  const Tensors good = random_weights();
  EXPECT_EQ(refusal(good), "");
  const std::string path = (folder_ / "weights.safetensors").string();
  Tensors bad = good;
  bad.erase("Mixed_6b.branch7x7_2.bn.bias");
  EXPECT_THAT(refusal(bad), HasSubstr("expected a tensor "
                                      "Mixed_6b.branch7x7_2.bn.bias of shape "
                                      "[128], found none"));
  EXPECT_THAT(refusal(bad), HasSubstr(path));
  EXPECT_THAT(refusal(bad), HasSubstr("convert_inception.py"));
  bad = good;
  bad["Conv2d_2a_3x3.conv.weight"] = at::randn({32, 32, 1, 3});
  EXPECT_THAT(refusal(bad), HasSubstr("[32, 32, 3, 3], found F32 and "
                                      "[32, 32, 1, 3]"));
  bad = good;
  bad["Mixed_7c.branch1x1.bn.weight"] =
      good.at("Mixed_7c.branch1x1.bn.weight").to(at::kDouble);
  EXPECT_THAT(refusal(bad), HasSubstr("found F64"));
  bad = good;
  bad["fc.weight"] = at::randn({1008, 2048});
  EXPECT_THAT(refusal(bad), HasSubstr("found 1 more, such as fc.weight"));
  bad = good;
  bad["Conv2d_1a_3x3.bn.bias"] = at::randn({32});
  bad["Conv2d_1a_3x3.bn.bias"][3] = std::nan("");
  EXPECT_THAT(refusal(bad), HasSubstr("finite"));
  bad = good;
  bad["Mixed_5b.branch1x1.bn.running_var"] = at::rand({64}) - 2;
  EXPECT_THAT(refusal(bad), HasSubstr("running_var"));
}

}  // namespace
}  // namespace dblocks
