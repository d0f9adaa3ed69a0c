// SPDX-License-Identifier: Apache-2.0
// Folders of images: ROOT/train/CLASS/*.{png,jpg,jpeg} and ROOT/test/CLASS/...
// Only names are read here; images are decoded when asked for.
#pragma once

#include <filesystem>

#include "dblocks/data/dataset.h"

namespace dblocks::data {

/// Classes are the folders of train/ in alphabetic order of bytes, images
/// follow by class, then by file name, so that labels and order depend on names
/// alone. Names that start with a dot and files with other endings are passed
/// over; links are followed. `val` stands for `test` where there is no `test`.
/// `info` gives name, size, mean and deviation.
///
/// pixels() brings an image to that size by centred_view(); views take parts of
/// the image as it is.
/// Errors: DataError if a folder is missing, a class of train/ has no image,
/// test/ has none at all, or a folder of test/ is no class of train/.
DataSplits read_image_folder(const std::filesystem::path& root,
                             DatasetInfo info);

}  // namespace dblocks::data
