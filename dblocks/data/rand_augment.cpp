// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/rand_augment.h"

#include <cmath>

#include "dblocks/core/error.h"
#include "dblocks/data/augment_ops.h"

namespace dblocks::data {
namespace {

constexpr std::array<std::string_view, kNumAugmentOps> kNames = {
    "Identity",  "ShearX",     "ShearY",       "TranslateX", "TranslateY",
    "Rotate",    "Brightness", "Color",        "Contrast",   "Sharpness",
    "Posterize", "Solarize",   "AutoContrast", "Equalize"};

// torch.linspace in float32: from the nearer end, so that both ends are exact,
// multiplied and added with one rounding.
double linspace(double from, double to, int64_t bin) {
  const auto first = static_cast<float>(from);
  const auto last = static_cast<float>(to);
  const float step = (last - first) / static_cast<float>(kNumMagnitudeBins - 1);
  if (bin < kNumMagnitudeBins / 2) {
    return std::fma(step, static_cast<float>(bin), first);
  }
  return std::fma(-step, static_cast<float>(kNumMagnitudeBins - 1 - bin), last);
}

double translation(int64_t size, int64_t bin) {
  return linspace(0, 150.0 / 331.0 * static_cast<double>(size), bin);
}

// round() of torch, half to even.
double bits_kept(int64_t bin) {
  return 8 - std::nearbyint(static_cast<float>(bin) /
                            (static_cast<float>(kNumMagnitudeBins - 1) / 4));
}

}  // namespace

std::string_view augment_op_name(AugmentOp op) {
  return kNames[static_cast<size_t>(op)];
}

bool augment_op_is_signed(AugmentOp op) {
  return op >= AugmentOp::kShearX && op <= AugmentOp::kSharpness;
}

double augment_magnitude(AugmentOp op,
                         int64_t bin,
                         int64_t rows,
                         int64_t columns) {
  DBLOCKS_ASSERT(bin >= 0 && bin < kNumMagnitudeBins, "bin {}", bin);
  switch (op) {
    case AugmentOp::kShearX:
    case AugmentOp::kShearY:
      return linspace(0, 0.3, bin);
    case AugmentOp::kTranslateX:
      return translation(columns, bin);
    case AugmentOp::kTranslateY:
      return translation(rows, bin);
    case AugmentOp::kRotate:
      return linspace(0, 30, bin);
    case AugmentOp::kBrightness:
    case AugmentOp::kColor:
    case AugmentOp::kContrast:
    case AugmentOp::kSharpness:
      return linspace(0, 0.9, bin);
    case AugmentOp::kPosterize:
      return bits_kept(bin);
    case AugmentOp::kSolarize:
      return linspace(255, 0, bin);
    case AugmentOp::kIdentity:
    case AugmentOp::kAutoContrast:
    case AugmentOp::kEqualize:
      return 0;
  }
  return 0;
}

void apply_augment_op(Image& image,
                      AugmentOp op,
                      double magnitude,
                      Image& scratch) {
  using namespace internal;
  switch (op) {
    case AugmentOp::kIdentity:
      return;
    case AugmentOp::kShearX:
      return warp(image, {1, magnitude, 0, 0, 1, 0}, scratch);
    case AugmentOp::kShearY:
      return warp(image, {1, 0, 0, magnitude, 1, 0}, scratch);
    case AugmentOp::kTranslateX:
      return warp(image, {1, 0, -std::trunc(magnitude), 0, 1, 0}, scratch);
    case AugmentOp::kTranslateY:
      return warp(image, {1, 0, 0, 0, 1, -std::trunc(magnitude)}, scratch);
    case AugmentOp::kRotate:
      return rotate(image, magnitude, scratch);
    case AugmentOp::kBrightness:
      return adjust_brightness(image, 1 + magnitude);
    case AugmentOp::kColor:
      return adjust_color(image, 1 + magnitude);
    case AugmentOp::kContrast:
      return adjust_contrast(image, 1 + magnitude);
    case AugmentOp::kSharpness:
      return adjust_sharpness(image, 1 + magnitude, scratch);
    case AugmentOp::kPosterize:
      return posterize(image, static_cast<int>(magnitude));
    case AugmentOp::kSolarize:
      return solarize(image, magnitude);
    case AugmentOp::kAutoContrast:
      return auto_contrast(image);
    case AugmentOp::kEqualize:
      return equalize(image);
  }
}

void rand_augment(Image& image,
                  int64_t num_ops,
                  int64_t magnitude,
                  RandomStream& stream,
                  Image& scratch) {
  for (int64_t i = 0; i < num_ops; ++i) {
    const auto op = static_cast<AugmentOp>(stream.next_below(kNumAugmentOps));
    double size = augment_magnitude(op, magnitude, image.rows, image.columns);
    if (augment_op_is_signed(op) && stream.next_below(2) == 1) {
      size = -size;
    }
    apply_augment_op(image, op, size, scratch);
  }
}

}  // namespace dblocks::data
