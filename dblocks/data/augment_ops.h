// SPDX-License-Identifier: Apache-2.0
// The single operations of RandAugment, in place, with PIL's arithmetic. Use
// them through rand_augment.h.
#pragma once

#include <array>

#include "dblocks/data/image.h"

namespace dblocks::data::internal {

/// Output (x, y) takes the input pixel that holds the point
/// (a0 x' + a1 y' + a2, a3 x' + a4 y' + a5), x' = x + 1/2, y' = y + 1/2; black
/// outside. In 16.16 fixed point, as PIL does without interpolation.
void warp(Image& image, const std::array<double, 6>& a, Image& scratch);
/// Turns counter-clockwise about the centre.
void rotate(Image& image, double degrees, Image& scratch);

/// These four blend `factor` parts of the image with 1 - factor parts of
/// another: black, its grey version, its mean grey, its smoothed version.
void adjust_brightness(Image& image, double factor);
void adjust_color(Image& image, double factor);
void adjust_contrast(Image& image, double factor);
void adjust_sharpness(Image& image, double factor, Image& scratch);

/// Keeps the highest `bits` bits of each level, 1 to 8.
void posterize(Image& image, int bits);
/// Inverts the levels that are not below `threshold`.
void solarize(Image& image, double threshold);
/// Stretches each channel to 0 .. 255.
void auto_contrast(Image& image);
/// Flattens the histogram of each channel.
void equalize(Image& image);

}  // namespace dblocks::data::internal
