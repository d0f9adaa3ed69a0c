// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "dblocks/report/png_encoder.h"

namespace dblocks::cli {

/// Images as one picture, `across` in a row. *Shapes*: pixels: [N, Y, X, C]
/// uint8, contiguous, C = 1 or 3.
report::PixelImage image_grid(const at::Tensor& pixels, int64_t across);

/// Shows on a terminal how much of drawing images is done.
void show_sampling_share(double share);

}  // namespace dblocks::cli
