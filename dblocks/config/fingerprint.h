// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dblocks/config/run_config.h"

namespace dblocks::config {

/// Whether the value of `key` can change the weights that `config` trains. Not
/// so, by design: where data lie and how they are loaded, names, logging,
/// checkpoints, evaluation, and the order of blocks unless parts are shared.
bool changes_weights(const RunConfig& config, const std::string& key);

/// 32 hexadecimal digits that two resolved configs share exactly if every key
/// that changes the trained weights has the same value. Runs are resumed and
/// merged only under one fingerprint.
std::string fingerprint(const RunConfig& config);

/// A key whose values differ, as recipes write them.
struct Difference {
  std::string key;
  std::string first;
  std::string second;
};

/// The keys that make the fingerprints of two resolved configs differ; empty if
/// they are equal.
std::vector<Difference> differences(const RunConfig& first,
                                    const RunConfig& second);

}  // namespace dblocks::config
