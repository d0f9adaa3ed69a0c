// SPDX-License-Identifier: Apache-2.0
// Reads the tensors that the published implementation wrote and gives them the
// names that this project uses.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "dblocks/tasks/classification_task.h"
#include "dblocks/tasks/unit.h"

namespace dblocks::golden {

using Tensors = std::map<std::string, at::Tensor>;

/// The folder that DBLOCKS_GOLDEN names, else ../shared/golden/vit_b3.
std::filesystem::path folder();

/// A file of the folder as it is.
Tensors read_file(const std::string& name);

/// A file of weights or gradients under our names; the query, key and value of
/// a layer stacked into one.
Tensors read_published(const std::string& name);

/// The network of the folder's config.json, every size taken from there, with
/// every outer part shared, as published.
tasks::TaskOptions task_options(tasks::Method method);

/// Copies tensors into a unit's parameters; each must be there.
void fill(const std::vector<tasks::UnitParameter>& parameters,
          const Tensors& tensors);

/// Blocks of the steps in the name of dblock_after_steps_*.safetensors.
struct StepsFile {
  std::string name;
  std::vector<int64_t> blocks;
};
StepsFile steps_file();

}  // namespace dblocks::golden
