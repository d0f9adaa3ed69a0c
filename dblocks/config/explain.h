// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace dblocks::config {

/// Every key with its default, unit, values and meaning, aligned for a
/// terminal: what `dblocks config --explain` prints.
std::string explain();

/// The same as a page: docs/recipes.md.
std::string explain_markdown();

}  // namespace dblocks::config
