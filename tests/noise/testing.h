// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "dblocks/core/error.h"
#include "dblocks/noise/inference_schedule.h"
#include "dblocks/noise/partition.h"

namespace dblocks::noise {

/// Equal-probability blocks on the published noise range.
inline Partition published(int64_t num_blocks, double overlap = 0) {
  return Partition({}, {.overlap = overlap}, num_blocks);
}

/// The values as a table prints them: `format` is a format of one number,
/// for instance "{:.12g}".
inline std::string printed(const std::vector<double>& values,
                           const char* format) {
  std::string row;
  for (const double value : values) {
    row += (row.empty() ? "" : ", ") + fmt::format(fmt::runtime(format), value);
  }
  return row;
}

/// One number per block, in the tables' order: lowest noise first.
template <class Value>
std::vector<double> cleanest_first(const Partition& partition, Value value) {
  std::vector<double> values;
  for (int64_t block = partition.num_blocks() - 1; block >= 0; --block) {
    values.push_back(value(block));
  }
  return values;
}

inline std::vector<double> sigmas_of(const std::vector<ScheduledSigma>& calls) {
  std::vector<double> sigmas;
  sigmas.reserve(calls.size());
  for (const auto& call : calls) {
    sigmas.push_back(call.sigma);
  }
  return sigmas;
}

inline std::vector<int64_t> blocks_of(
    const std::vector<ScheduledSigma>& calls) {
  std::vector<int64_t> blocks;
  blocks.reserve(calls.size());
  for (const auto& call : calls) {
    blocks.push_back(call.block);
  }
  return blocks;
}

/// Calls per block, noisiest first.
inline std::vector<int64_t> calls_per_block(
    const std::vector<ScheduledSigma>& calls, int64_t num_blocks) {
  std::vector<int64_t> counts(static_cast<size_t>(num_blocks), 0);
  for (const auto& call : calls) {
    ++counts.at(static_cast<size_t>(call.block));
  }
  return counts;
}

/// Expects `action` to throw ConfigError with `part` in its message.
template <class Action>
void expect_config_error(Action action, const std::string& part) {
  try {
    action();
    ADD_FAILURE() << "no error that mentions " << part;
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
        << error.what();
  }
}

}  // namespace dblocks::noise
