// SPDX-License-Identifier: Apache-2.0
// The files that `dblocks sample` writes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "cli/run_data.h"

namespace dblocks::cli {

/// Images of a run, with the classes that were asked for.
struct DrawnImages {
  at::Tensor pixels;  ///< [N, Y, X, C] uint8; undefined for latents
  at::Tensor
      values;  ///< latents in the units of the data, [N, C, Y, X] float32
  std::vector<int64_t> labels;

  bool are_pictures() const { return pixels.defined(); }
};

/// A PNG for each image, named by its number and class. Requires: pictures.
/// *Errors*: those of FileSystem.
void write_image_files(const std::filesystem::path& folder,
                       const DrawnImages& drawn);

/// NumPy arrays: arr_0 the pixels, or the values of latents, arr_1 the labels.
/// *Errors*: those of FileSystem.
void write_arrays(const std::filesystem::path& file, const DrawnImages& drawn);

/// Tensors `images`, [N, C, Y, X], and `labels`, with class names and scale of
/// the run as metadata: a data set of one's own, see docs/data.md.
/// *Errors*: those of FileSystem.
void write_tensors(const std::filesystem::path& file,
                   const DrawnImages& drawn,
                   const TrainedNetwork& network);

}  // namespace dblocks::cli
