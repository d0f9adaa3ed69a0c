// SPDX-License-Identifier: Apache-2.0
// Binary versions of CIFAR-10 and CIFAR-100 (Krizhevsky 2009): records of label
// bytes followed by 3072 pixel bytes, [C, Y, X].
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace dblocks::data {

/// Labels and pixels of several samples.
struct Samples {
  std::vector<int64_t> labels;  ///< [N]
  std::vector<uint8_t> pixels;  ///< [N, C, Y, X]
};

/// Reads `paths` one after the other. A record has `label_bytes` bytes of which
/// the last is the label used: 1 for CIFAR-10; 2 for CIFAR-100, whose first is
/// the coarse label. Errors: DataError naming the file if it is empty, holds
/// part of a record or more than 100,000, or a label is out of range.
Samples read_cifar(std::span<const std::filesystem::path> paths,
                   int64_t label_bytes,
                   int64_t num_classes);

}  // namespace dblocks::data
