// SPDX-License-Identifier: Apache-2.0
// Who trains a parameter, and what it is called in files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dblocks/blocks/options.h"

namespace dblocks::blocks {

/// The policy of the parameter `name`, as a block's network names it. Layers
/// always belong to their block. Errors: InternalError for a name that is
/// neither a layer nor an outer part.
Ownership ownership_of(const OwnershipOptions& options, std::string_view name);

/// The name of a parameter in files, unique over the whole model: layers keep
/// their index in the stack ("layers.4.mlp.up.weight"), an outer part that each
/// block owns carries its block ("blocks.1.head.weight"), one that is frozen or
/// shared stands alone ("target_table").
std::string file_name(std::string_view name,
                      Ownership ownership,
                      int64_t block);

/// Whether weight decay limited to matrices applies to a parameter: weights of
/// linear layers and convolutions, not biases, gains, positions, tokens,
/// tables.
bool is_matrix(std::string_view name, int64_t num_dimensions);

}  // namespace dblocks::blocks
