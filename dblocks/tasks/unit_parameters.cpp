// SPDX-License-Identifier: Apache-2.0
#include "dblocks/tasks/unit_parameters.h"

#include "dblocks/blocks/ownership.h"

namespace dblocks::tasks {

std::vector<UnitParameter> unit_parameters(
    torch::nn::Module& network,
    int64_t unit,
    const blocks::OwnershipOptions& ownership) {
  std::vector<UnitParameter> result;
  for (const auto& item : network.named_parameters()) {
    const blocks::Ownership owner = blocks::ownership_of(ownership, item.key());
    at::Tensor tensor = item.value();
    tensor.set_requires_grad(owner != blocks::Ownership::kFrozen);
    result.push_back({blocks::file_name(item.key(), owner, unit), tensor, owner,
                      blocks::is_matrix(item.key(), tensor.dim())});
  }
  return result;
}

}  // namespace dblocks::tasks
