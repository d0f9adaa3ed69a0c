// SPDX-License-Identifier: Apache-2.0
// A small checkpoint whose contents follow from its step.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "dblocks/checkpoint/store.h"

namespace dblocks::testing {

inline checkpoint::Manifest sample_manifest() {
  return {.unit = checkpoint::UnitKind::kBlock,
          .block = 1,
          .num_blocks = 3,
          .first_layer = 4,
          .end_layer = 8,
          .sigma_low = 0.1830,
          .sigma_high = 0.5218,
          .recipe_fingerprint = "00ff",
          .frozen_hash = hash_bytes("frozen")};
}

class SampleCheckpoint {
 public:
  explicit SampleCheckpoint(int64_t step, size_t num_values = 6)
      : weights_(num_values, static_cast<float>(step)),
        moments_(num_values, static_cast<float>(step) / 2) {
    files_ = {
        checkpoint::tensor_file(checkpoint::kWeightsName,
                                {tensor("a", weights_, 0, 2),
                                 tensor("b", weights_, 2, num_values - 2)}),
        checkpoint::tensor_file(checkpoint::kOptimizerName,
                                {tensor("a.m", moments_, 0, num_values)}),
        checkpoint::text_file(checkpoint::kStateName,
                              "{\"step\":" + std::to_string(step) + "}")};
  }

  const std::vector<checkpoint::CheckpointFile>& files() const {
    return files_;
  }

 private:
  static TensorBytes tensor(const char* name,
                            const std::vector<float>& values,
                            size_t begin,
                            size_t count) {
    return {name,
            DType::kF32,
            {static_cast<int64_t>(count)},
            std::as_bytes(std::span(values).subspan(begin, count))};
  }

  std::vector<float> weights_;
  std::vector<float> moments_;
  std::vector<checkpoint::CheckpointFile> files_;
};

/// Commits the sample of `step`.
inline checkpoint::Checkpoint commit_sample(checkpoint::CheckpointStore& store,
                                            int64_t step) {
  return store.commit(step, SampleCheckpoint(step).files(), sample_manifest());
}

/// Whether `found` holds what the sample of its step was made of.
inline bool holds_sample(const checkpoint::Checkpoint& found) {
  const checkpoint::SafetensorsFile file(found.folder /
                                         checkpoint::kWeightsName);
  const std::vector<float> expected(4, static_cast<float>(found.step));
  const auto bytes = std::as_bytes(std::span(expected));
  const auto actual = file.at("b").bytes;
  return std::equal(bytes.begin(), bytes.end(), actual.begin(), actual.end());
}

}  // namespace dblocks::testing
