// SPDX-License-Identifier: Apache-2.0
// Data sets as archives of NumPy arrays: ROOT/train.npz and ROOT/test.npz, held
// in memory.
#pragma once

#include <filesystem>
#include <functional>

#include "dblocks/data/dataset.h"

namespace dblocks::data {

/// Each file holds `arr_0`, images [N, Y, X, C] of type uint8 with 1 or 3
/// channels, and `arr_1`, their classes [N] of type int64 or int32: what
/// `dblocks sample --npz` writes. Classes are 0 up to the largest of training;
/// `set_statistics` sets mean and deviation of pixels.
/// Errors: DataError naming the file and the array if a file is missing or
/// damaged, an array has another type or shape, the two files do not fit each
/// other, or a class is not one of at most 65,536.
DataSplits read_npz_dataset(
    const std::filesystem::path& root,
    const std::function<void(DatasetInfo& info)>& set_statistics);

}  // namespace dblocks::data
