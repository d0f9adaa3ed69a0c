// SPDX-License-Identifier: Apache-2.0
// Data sets as tensors: ROOT/train.safetensors and ROOT/test.safetensors, or
// shards ROOT/train-00001-of-00008.safetensors and so on, mapped into memory;
// samples are read when asked for.
#pragma once

#include <filesystem>
#include <functional>

#include "dblocks/data/dataset.h"

namespace dblocks::data {

/// Each file holds `images`, U8 [N, C, Y, X] with 1 or 3 channels or F32 with
/// up to 16, and `labels`, I64 [N]. The metadata of the first file of training
/// may hold `class_names`, a JSON list of strings; without it the classes are 0
/// up to the largest label of training. They may hold `mean` and `std`, JSON
/// lists of a number for each channel. Numbers (F32) are taken as they are,
/// levels (U8) as level / 255; `set_statistics` completes or replaces mean and
/// deviation.
/// Errors: DataError naming the file and the tensor if a file is missing or
/// damaged, a tensor has another type or shape, the two files do not fit each
/// other, or a label is not one of at most 65,536 classes.
DataSplits read_tensor_dataset(
    const std::filesystem::path& root,
    const std::function<void(DatasetInfo& info)>& set_statistics);

}  // namespace dblocks::data
