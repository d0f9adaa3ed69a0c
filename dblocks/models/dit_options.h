// SPDX-License-Identifier: Apache-2.0
// Options of the diffusion transformer. Plain data: no LibTorch here.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dblocks/core/fields.h"

namespace dblocks::models {

/// The published sizes, and one's own.
enum class DitSize { kCustom, kS, kB, kL, kXl };

inline constexpr auto kDitSizeNames =
    std::to_array<EnumName<DitSize>>({{DitSize::kCustom, "custom"},
                                      {DitSize::kS, "S"},
                                      {DitSize::kB, "B"},
                                      {DitSize::kL, "L"},
                                      {DitSize::kXl, "XL"}});
inline auto enum_names(DitSize) {
  return std::span(kDitSizeNames);
}

/// Shape of a diffusion transformer. Image size, channels and classes come from
/// the data; the MLP is four times as wide as a token.
/// *Source*: Peebles and Xie 2023, arXiv 2212.09748, table 1.
struct DitOptions {
  /// S: 12 layers, width 384, 6 heads; B: 12, 768, 12; L: 24, 1024, 16;
  /// XL: 28, 1152, 16; custom: the three numbers below.
  DitSize size = DitSize::kS;
  /// Layers of the whole stack, over all blocks.
  int64_t num_layers = 12;
  /// Features per token, D; a multiple of 4. `heads` divides it.
  int64_t width = 384;
  /// Attention heads, H.
  int64_t heads = 6;
  /// Side of a square patch in pixels: 2, 4 or 8; divides the image's sides.
  int64_t patch = 2;
};

/// Puts the numbers of a named size in; custom keeps what is given.
inline DitOptions resolve(DitOptions options) {
  const auto set = [&](int64_t num_layers, int64_t width, int64_t heads) {
    options.num_layers = num_layers;
    options.width = width;
    options.heads = heads;
  };
  switch (options.size) {
    case DitSize::kS:
      set(12, 384, 6);
      break;
    case DitSize::kB:
      set(12, 768, 12);
      break;
    case DitSize::kL:
      set(24, 1024, 16);
      break;
    case DitSize::kXl:
      set(28, 1152, 16);
      break;
    case DitSize::kCustom:
      break;
  }
  return options;
}

inline void visit_fields(FieldVisitor& visitor, DitOptions& options) {
  visitor.field({"size", "",
                 "S, B, L or XL as published, or custom: num_layers, width and "
                 "heads as given."},
                options.size);
  visitor.field({"num_layers", "layers",
                 "Layers of the whole stack, over all blocks; size custom "
                 "only."},
                options.num_layers);
  visitor.field({"width", "",
                 "Features per token, a multiple of 4; `heads` divides it; "
                 "size custom only."},
                options.width);
  visitor.field(
      {"heads", "", "Attention heads of each layer; size custom only."},
      options.heads);
  visitor.field({"patch", "pixels",
                 "Side of a patch, 2, 4 or 8; divides the image's sides."},
                options.patch);
}

}  // namespace dblocks::models
