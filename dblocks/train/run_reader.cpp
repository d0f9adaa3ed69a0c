// SPDX-License-Identifier: Apache-2.0
#include "dblocks/train/run_reader.h"

#include <map>
#include <utility>

#include "dblocks/checkpoint/safetensors.h"
#include "dblocks/core/error.h"
#include "dblocks/train/unit_state.h"

namespace dblocks::train {
namespace {

std::vector<tasks::UnitParameter> with_ownership(
    const std::vector<tasks::UnitParameter>& parameters, bool is_shared) {
  std::vector<tasks::UnitParameter> result;
  for (const tasks::UnitParameter& p : parameters) {
    if ((p.ownership == blocks::Ownership::kShared) == is_shared) {
      result.push_back(p);
    }
  }
  return result;
}

}  // namespace

RunReader::RunReader(const RunSetup& setup, const RunFolder& folder)
    : setup_(setup), folder_(folder), task_(tasks::make_task(setup.task)) {
  checkpoints_ = find_checkpoints(folder, setup, task_->num_units());
  bool is_empty = true;
  for (const auto& unit : checkpoints_.units) {
    is_empty = is_empty && !unit;
  }
  DBLOCKS_CHECK(!is_empty, CheckpointError,
                "[run] {}: expected a checkpoint, found none. Hint: train it "
                "first",
                folder.root().string());
}

const char* RunReader::trained_file() const {
  switch (setup_.optim.ema_evaluate) {
    case optim::EmaEvaluate::kNone:
      return checkpoint::kWeightsName;
    case optim::EmaEvaluate::kFirst:
      return checkpoint::kEmaNames[0];
    case optim::EmaEvaluate::kSecond:
      return checkpoint::kEmaNames[1];
  }
  return checkpoint::kWeightsName;
}

void RunReader::load_weights(
    const std::vector<tasks::UnitParameter>& parameters, int64_t unit) const {
  const auto& found = checkpoints_.units[unit];
  DBLOCKS_CHECK(found, CheckpointError,
                "[run] {}: expected a checkpoint of block {}, found none. "
                "Hint: train it, or merge the run that holds it",
                folder_.root().string(), unit);
  const auto load = [&](const std::vector<tasks::UnitParameter>& wanted,
                        const std::filesystem::path& folder) {
    std::vector<tasks::UnitParameter> trained, frozen;
    for (const tasks::UnitParameter& p : wanted) {
      (p.ownership == blocks::Ownership::kFrozen ? frozen : trained)
          .push_back(p);
    }
    load_parameters(frozen, folder / checkpoint::kWeightsName);
    load_parameters(trained, folder / trained_file());
  };
  load(with_ownership(parameters, false), found->folder);
  const auto shared = with_ownership(parameters, true);
  if (!shared.empty()) {
    load(shared, checkpoints_.shared->folder);
  }
}

std::unique_ptr<tasks::Unit> RunReader::load_unit(int64_t unit,
                                                  at::Device device) const {
  std::unique_ptr<tasks::Unit> result = task_->make_unit(unit);
  load_weights(result->parameters(), unit);
  for (const tasks::Context& context : result->context()) {
    load_weights(context.parameters, context.unit);
  }
  result->network().to(device);
  for (const tasks::Context& context : result->context()) {
    for (const tasks::UnitParameter& p : context.parameters) {
      at::Tensor(p.tensor).set_data(p.tensor.to(device));
    }
  }
  return result;
}

Hash128 export_weights(const RunReader& reader,
                       const std::filesystem::path& file,
                       const std::string& model_json) {
  // Views into the checkpoints' files; each must stay open until written.
  std::vector<std::unique_ptr<checkpoint::SafetensorsFile>> open;
  std::map<std::string, TensorBytes> tensors;
  const auto add = [&](const checkpoint::Checkpoint& from) {
    // An average has what was trained; frozen parts are with the weights.
    for (const char* name : {reader.trained_file(), checkpoint::kWeightsName}) {
      open.push_back(
          std::make_unique<checkpoint::SafetensorsFile>(from.folder / name));
      for (const TensorBytes& tensor : open.back()->tensors()) {
        tensors.emplace(tensor.name, tensor);
      }
    }
  };
  for (size_t unit = 0; unit < reader.checkpoints().units.size(); ++unit) {
    const auto& found = reader.checkpoints().units[unit];
    DBLOCKS_CHECK(found, CheckpointError,
                  "[export] expected a checkpoint of every block, found none "
                  "of block {}",
                  unit);
    add(*found);
  }
  if (reader.checkpoints().shared) {
    add(*reader.checkpoints().shared);
  }
  std::vector<TensorBytes> sorted;
  sorted.reserve(tensors.size());
  for (auto& [name, tensor] : tensors) {
    sorted.push_back(std::move(tensor));
  }
  FileSystem& disk = real_file_system();
  const std::filesystem::path temporary = file.string() + ".tmp";
  const checkpoint::WrittenFile written =
      checkpoint::write_safetensors(disk, temporary, sorted);
  std::filesystem::path description = file;
  description.replace_extension(".model.json");
  disk.write_file(description, model_json);
  disk.rename(temporary, file);
  return written.hash;
}

}  // namespace dblocks::train
