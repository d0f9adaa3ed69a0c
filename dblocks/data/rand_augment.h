// SPDX-License-Identifier: Apache-2.0
// RandAugment, Cubuk et al. 2019, arXiv 1909.13719, with the operations, ranges
// and rounding of torchvision on PIL images: 31 magnitude bins, nearest
// neighbour, black outside the image.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "dblocks/core/random.h"
#include "dblocks/data/image.h"

namespace dblocks::data {

/// In the order from which an operation is drawn.
enum class AugmentOp {
  kIdentity,
  kShearX,
  kShearY,
  kTranslateX,
  kTranslateY,
  kRotate,
  kBrightness,
  kColor,
  kContrast,
  kSharpness,
  kPosterize,
  kSolarize,
  kAutoContrast,
  kEqualize,
};

inline constexpr int64_t kNumAugmentOps = 14;
inline constexpr int64_t kNumMagnitudeBins = 31;

/// Name as torchvision spells it, for instance "ShearX".
std::string_view augment_op_name(AugmentOp op);

/// Whether the magnitude is negated one time in two.
bool augment_op_is_signed(AugmentOp op);

/// The magnitude of bin `bin` for images of the given size: a slope for shears,
/// pixels for translations, degrees for the rotation, a factor minus 1 for
/// brightness, colour, contrast and sharpness, bits kept for Posterize, a level
/// for Solarize, 0 where unused. Float32 as torchvision computes it.
double augment_magnitude(AugmentOp op,
                         int64_t bin,
                         int64_t rows,
                         int64_t columns);

/// Applies one operation to `image` in place; `scratch` lends memory. Bit for
/// bit what torchvision does to a PIL image of mode L or RGB.
void apply_augment_op(Image& image,
                      AugmentOp op,
                      double magnitude,
                      Image& scratch);

/// Applies `num_ops` operations drawn uniformly with replacement, each at bin
/// `magnitude`, with a random sign where the operation has one.
/// Requires: 0 <= magnitude < kNumMagnitudeBins.
void rand_augment(Image& image,
                  int64_t num_ops,
                  int64_t magnitude,
                  RandomStream& stream,
                  Image& scratch);

}  // namespace dblocks::data
