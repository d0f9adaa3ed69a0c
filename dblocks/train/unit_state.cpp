// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/unit_state.h"

#include <c10/core/GradMode.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "dblocks/core/error.h"
#include "dblocks/nn/init.h"

namespace dblocks::train {
namespace {

using checkpoint::SafetensorsFile;
using Buffer = FlatState::Buffer;
using Json = nlohmann::ordered_json;

constexpr const char* kFirstMoment = "first_moment.";
constexpr const char* kSecondMoment = "second_moment.";
constexpr const char* kFirstScales = "first_moment_scales.";
constexpr const char* kSecondScales = "second_moment_scales.";

/// The buffers of optimizer.safetensors and what their names begin with.
std::vector<std::pair<Buffer, const char*>> moment_buffers(
    const FlatState& state) {
  std::vector<std::pair<Buffer, const char*>> buffers{
      {Buffer::kFirstMoment, kFirstMoment},
      {Buffer::kSecondMoment, kSecondMoment}};
  if (state.moment_format() == MomentFormat::kInt8) {
    buffers.emplace_back(Buffer::kFirstScales, kFirstScales);
    buffers.emplace_back(Buffer::kSecondScales, kSecondScales);
  }
  return buffers;
}

std::vector<TensorBytes> all_tensors(const SafetensorsFile& file) {
  return {file.tensors().begin(), file.tensors().end()};
}

std::string state_text(int64_t step, const LogWindow& window) {
  return Json{{"step", step},
              {"window_loss_sum", window.loss_sum},
              {"window_correct", window.num_correct},
              {"window_samples", window.num_samples},
              {"window_steps", window.num_steps},
              {"window_bad", window.num_bad},
              {"bad_in_a_row", window.bad_in_a_row}}
             .dump(2) +
         "\n";
}

int64_t read_state(const std::filesystem::path& file, LogWindow& window) {
  const std::string text = real_file_system().read_file(file, kMaxStateBytes);
  const Json json = Json::parse(text, nullptr, false);
  try {
    window.loss_sum = json.at("window_loss_sum").get<double>();
    window.num_correct = json.at("window_correct").get<int64_t>();
    window.num_samples = json.at("window_samples").get<int64_t>();
    window.num_steps = json.at("window_steps").get<int64_t>();
    // Older checkpoints have neither.
    window.num_bad = json.value("window_bad", int64_t{0});
    window.bad_in_a_row = json.value("bad_in_a_row", int64_t{0});
    return json.at("step").get<int64_t>();
  } catch (const Json::exception& error) {
    throw CheckpointError(
        fmt::format("[checkpoint] {}: expected the state of "
                    "a unit, found: {}",
                    file.string(), error.what()));
  }
}

constexpr std::array<Buffer, kMaxAverages> kAverageBuffers = {
    Buffer::kAverage, Buffer::kSecondAverage};

}  // namespace

std::vector<NamedParameter> parameters_of(tasks::Unit& unit,
                                          blocks::Ownership ownership,
                                          optim::WeightDecayOn decay_on) {
  std::vector<NamedParameter> result;
  for (const tasks::UnitParameter& p : unit.parameters()) {
    if (p.ownership == ownership) {
      result.push_back({p.name, p.tensor,
                        p.is_matrix || decay_on == optim::WeightDecayOn::kAll});
    }
  }
  return result;
}

std::vector<checkpoint::CheckpointFile> state_files(
    FlatState& state, std::vector<TensorBytes> more) {
  std::vector<TensorBytes> weights = state.tensors(Buffer::kWeights);
  weights.insert(weights.end(), more.begin(), more.end());
  std::vector<TensorBytes> moments;
  for (const auto& [buffer, prefix] : moment_buffers(state)) {
    for (TensorBytes& tensor : state.tensors(buffer, prefix)) {
      moments.push_back(std::move(tensor));
    }
  }
  std::vector<checkpoint::CheckpointFile> files;
  files.push_back(
      checkpoint::tensor_file(checkpoint::kWeightsName, std::move(weights)));
  files.push_back(
      checkpoint::tensor_file(checkpoint::kOptimizerName, std::move(moments)));
  for (int64_t i = 0; i < state.num_averages(); ++i) {
    files.push_back(checkpoint::tensor_file(checkpoint::kEmaNames[i],
                                            state.tensors(kAverageBuffers[i])));
  }
  return files;
}

void load_state(FlatState& state, const std::filesystem::path& folder) {
  const auto read = [&](Buffer buffer, const char* name, const char* prefix) {
    const SafetensorsFile file(folder / name);
    state.load(buffer, all_tensors(file), file.path().string(), prefix);
  };
  read(Buffer::kWeights, checkpoint::kWeightsName, "");
  for (const auto& [buffer, prefix] : moment_buffers(state)) {
    read(buffer, checkpoint::kOptimizerName, prefix);
  }
  for (int64_t i = 0; i < state.num_averages(); ++i) {
    read(kAverageBuffers[i], checkpoint::kEmaNames[i], "");
  }
}

void load_parameters(const std::vector<tasks::UnitParameter>& parameters,
                     const std::filesystem::path& path) {
  c10::NoGradGuard no_grad;
  const SafetensorsFile file(path);
  for (const tasks::UnitParameter& p : parameters) {
    const at::Tensor saved = as_tensor(file.at(p.name));
    DBLOCKS_CHECK((saved.scalar_type() == at::kFloat ||
                   saved.scalar_type() == at::kBFloat16) &&
                      saved.sizes() == p.tensor.sizes(),
                  CheckpointError,
                  "[checkpoint] {}: tensor '{}' has another type or shape than "
                  "this recipe's network",
                  path.string(), p.name);
    at::Tensor(p.tensor).set_data(saved.to(p.tensor.device(), at::kFloat));
  }
}

int64_t storage_bytes(tasks::Unit& unit, const optim::OptimOptions& options) {
  return FlatState::storage_bytes(
      parameters_of(unit, blocks::Ownership::kPerBlock,
                    options.weight_decay_on),
      options.state_format());
}

UnitState::UnitState(std::unique_ptr<tasks::Unit> unit,
                     const optim::OptimOptions& options,
                     FlatState* shared,
                     at::Device device)
    : unit_(std::move(unit)), shared_(shared) {
  owned_ = std::make_unique<FlatState>(prepare(options, device),
                                       options.state_format());
}

UnitState::UnitState(std::unique_ptr<tasks::Unit> unit,
                     const optim::OptimOptions& options,
                     FlatState* shared,
                     at::Device device,
                     const at::Tensor& storage,
                     FlatState::Contents contents)
    : unit_(std::move(unit)), shared_(shared) {
  owned_ = std::make_unique<FlatState>(
      prepare(options, device), options.state_format(), storage, contents);
}

/// Does all but the owned state; returns the parameters of that.
std::vector<NamedParameter> UnitState::prepare(
    const optim::OptimOptions& options, at::Device device) {
  for (const tasks::UnitParameter& p : unit_->parameters()) {
    nn::move_placeholder(p.tensor, device);
  }
  unit_->network().to(device);
  for (const tasks::Context& context : unit_->context()) {
    for (const tasks::UnitParameter& p : context.parameters) {
      at::Tensor tensor = p.tensor;
      tensor.set_data(tensor.to(device));
    }
  }
  const auto parameters = [&](blocks::Ownership ownership) {
    return parameters_of(*unit_, ownership, options.weight_decay_on);
  };
  const auto shared_parameters = parameters(blocks::Ownership::kShared);
  DBLOCKS_ASSERT(shared_ != nullptr || shared_parameters.empty(),
                 "a unit with shared parts needs their state");
  if (shared_ != nullptr) {
    shared_->attach(shared_parameters);
  }
  frozen_ = parameters(blocks::Ownership::kFrozen);
  for (NamedParameter& p : frozen_) {
    p.tensor = p.tensor.detach().cpu().contiguous();
  }
  unit_->network().train();
  return parameters(blocks::Ownership::kPerBlock);
}

Hash128 UnitState::frozen_hash() const {
  if (frozen_.empty()) {
    return {};
  }
  Hasher hasher;
  for (const NamedParameter& p : frozen_) {
    hasher.update(p.name);
    hasher.update(as_bytes(p.name, p.tensor).bytes);
  }
  return hasher.digest();
}

std::vector<checkpoint::CheckpointFile> UnitState::files() {
  std::vector<TensorBytes> frozen;
  for (const NamedParameter& p : frozen_) {
    frozen.push_back(as_bytes(p.name, p.tensor));
  }
  std::vector<checkpoint::CheckpointFile> files =
      state_files(*owned_, std::move(frozen));
  files.push_back(checkpoint::text_file(checkpoint::kStateName,
                                        state_text(step(), window_)));
  return files;
}

void UnitState::load(const std::filesystem::path& folder) {
  load_state(*owned_, folder);
  const SafetensorsFile weights(folder / checkpoint::kWeightsName);
  for (const NamedParameter& p : frozen_) {
    const TensorBytes& saved = weights.at(p.name);
    const TensorBytes made = as_bytes(p.name, p.tensor);
    DBLOCKS_CHECK(
        std::ranges::equal(saved.bytes, made.bytes), CheckpointError,
        "[checkpoint] {}: expected the frozen tensor '{}' that the seed "
        "gives, found another one",
        weights.path().string(), p.name);
  }
  owned_->step = read_state(folder / checkpoint::kStateName, window_);
}

}  // namespace dblocks::train
