// SPDX-License-Identifier: Apache-2.0
// The eight EXIF orientations: how an image is stored against how it is seen.
#pragma once

#include "dblocks/data/image.h"
#include "dblocks/data/transforms.h"

namespace dblocks::data {

/// Whether orientations 5 to 8 exchange rows and columns.
inline bool exchanges_sides(int orientation) {
  return orientation >= 5;
}

/// Where the seen part `seen` lies in a stored image of `rows` x `columns`.
Box stored_box(const Box& seen, int orientation, int64_t rows, int64_t columns);

/// Turns a stored image, or a part of one, into how it is seen.
void orient(Image& image, int orientation, Image& scratch);

}  // namespace dblocks::data
