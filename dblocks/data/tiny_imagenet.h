// SPDX-License-Identifier: Apache-2.0
// Tiny-ImageNet as distributed: wnids.txt, words.txt,
// train/<wnid>/images/*.JPEG, val/images/ and val/val_annotations.txt. Only
// names are read here; images are decoded when asked for.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "dblocks/data/dataset.h"

namespace dblocks::data {

/// Labels number the ids of wnids.txt in alphabetic order, training images
/// follow by class, then by file name. `info` gives name, size, mean and
/// deviation; class names are added: the first word of words.txt, or the id.
/// Errors: DataError if a folder is missing or empty, or an annotation is
/// malformed or names an unknown class.
DataSplits read_tiny_imagenet(const std::filesystem::path& folder,
                              DatasetInfo info);

}  // namespace dblocks::data
