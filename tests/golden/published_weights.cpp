// SPDX-License-Identifier: Apache-2.0
#include "tests/golden/published_weights.h"

#include <ATen/ops/cat.h>
#include <c10/core/GradMode.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "dblocks/checkpoint/safetensors.h"
#include "dblocks/core/flat_state.h"

namespace dblocks::golden {
namespace {

using Renames = std::vector<std::pair<std::string, std::string>>;

const Renames kOuterParts = {
    {"vit.embeddings.patch_embeddings.projection.", "patch_embedding."},
    {"vit.embeddings.position_embeddings", "position_embedding"},
    {"vit.embeddings.cls_token", "class_token"},
    {"vit.embeddings.label_embeddings.weight", "target_table"},
    {"vit.time_embedder.mlp.0.", "sigma_embedder.in."},
    {"vit.time_embedder.mlp.2.", "sigma_embedder.out."},
    {"vit.layernorm.", "final_norm."},
    {"adaLN_modulation.linear.", "final_modulation."},
    {"classifier.", "head."}};

const Renames kLayerParts = {{"layernorm_before.", "attention_norm."},
                             {"attention.output.dense.", "attention.output."},
                             {"layernorm_after.", "mlp_norm."},
                             {"intermediate.dense.", "mlp.up."},
                             {"output.dense.", "mlp.down."},
                             {"adaLN_modulation.linear.", "modulation."}};

constexpr const char* kLayers = "vit.encoder.layer.";
constexpr const char* kProjections = "attention.attention.";

std::string rename(const std::string& name, const Renames& renames) {
  for (const auto& [theirs, ours] : renames) {
    if (name.starts_with(theirs)) {
      return ours + name.substr(theirs.size());
    }
  }
  throw std::runtime_error("unknown published name " + name);
}

/// Adds a layer's tensor; query, key and value are added together, once.
void add_layer_tensor(const Tensors& published,
                      const std::string& name,
                      Tensors& result) {
  const std::string rest = name.substr(std::string(kLayers).size());
  const size_t dot = rest.find('.');
  const std::string layer = "layers." + rest.substr(0, dot) + ".";
  const std::string part = rest.substr(dot + 1);
  if (!part.starts_with(kProjections)) {
    result[layer + rename(part, kLayerParts)] = published.at(name);
    return;
  }
  const size_t query = name.find(".query.");
  if (query == std::string::npos) {
    return;
  }
  const auto sibling = [&](const char* which) {
    return published.at(std::string(name).replace(query, 7, which));
  };
  result[layer + "attention.qkv." + name.substr(query + 7)] =
      at::cat({published.at(name), sibling(".key."), sibling(".value.")});
}

}  // namespace

std::filesystem::path folder() {
  const char* chosen = std::getenv("DBLOCKS_GOLDEN");
  return chosen != nullptr ? chosen : "../shared/golden/vit_b3";
}

Tensors read_file(const std::string& name) {
  const checkpoint::SafetensorsFile file(folder() / name);
  Tensors result;
  for (const TensorBytes& tensor : file.tensors()) {
    result[tensor.name] = as_tensor(tensor);
  }
  return result;
}

Tensors read_published(const std::string& name) {
  const Tensors published = read_file(name);
  Tensors result;
  for (const auto& [key, value] : published) {
    if (key.starts_with(kLayers)) {
      add_layer_tensor(published, key, result);
    } else {
      result[rename(key, kOuterParts)] = value;
    }
  }
  return result;
}

tasks::TaskOptions task_options(tasks::Method method) {
  std::ifstream file(folder() / "config.json");
  const nlohmann::json json = nlohmann::json::parse(file);
  const auto number = [&json](const char* key) {
    return json.at(key).get<int64_t>();
  };
  constexpr auto shared = blocks::Ownership::kShared;
  const int64_t image = number("image");
  return {.method = method,
          .shape = {.options = {.num_layers = number("layers"),
                                .width = number("hidden"),
                                .heads = number("heads"),
                                .mlp_width = number("mlp"),
                                .patch = number("patch"),
                                .layer_norm_eps =
                                    json.at("layer_norm_eps").get<double>(),
                                .label_input =
                                    models::LabelInput::kReplaceClassToken,
                                .modulation = models::Modulation::kPublished},
                    .channels = 3,
                    .rows = image,
                    .columns = image,
                    .num_classes = number("labels")},
          .blocks = {.num_blocks = number("blocks"),
                     .ownership = {.stem = shared,
                                   .positions = shared,
                                   .target_table = shared,
                                   .sigma_embedder = shared,
                                   .final_norm = shared,
                                   .head = shared}},
          .classification = {.loss_weight = tasks::LossWeight::kPublished,
                             .bridge = tasks::Bridge::kSoft,
                             .normalised_bridge_table = false,
                             .target_table = tasks::TargetTable::kGaussian,
                             .anchor = 0}};
}

void fill(const std::vector<tasks::UnitParameter>& parameters,
          const Tensors& tensors) {
  c10::NoGradGuard no_grad;
  for (const tasks::UnitParameter& p : parameters) {
    // Baselines own all their parts, which then carry the unit's number.
    const std::string prefix = "blocks.0.";
    const std::string name =
        p.name.starts_with(prefix) ? p.name.substr(prefix.size()) : p.name;
    at::Tensor(p.tensor).copy_(tensors.at(name));
  }
}

StepsFile steps_file() {
  const std::string prefix = "dblock_after_steps_";
  for (const auto& entry : std::filesystem::directory_iterator(folder())) {
    const std::string stem = entry.path().stem().string();
    if (!stem.starts_with(prefix)) {
      continue;
    }
    StepsFile result{.name = entry.path().filename().string()};
    std::istringstream digits(stem.substr(prefix.size()));
    for (std::string block; std::getline(digits, block, '_');) {
      result.blocks.push_back(std::stoll(block));
    }
    return result;
  }
  throw std::runtime_error("no " + prefix + "* in " + folder().string());
}

}  // namespace dblocks::golden
