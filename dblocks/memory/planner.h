// SPDX-License-Identifier: Apache-2.0
// How much memory a training step will take, worked out from shapes alone.
//
// A step runs through a list of operations, forward and then backward. Each
// keeps something for its derivative and needs something more while it runs;
// planner.cpp has the table, one function per kind of layer. The peak is the
// resident state plus the largest sum of what is kept and what runs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "dblocks/blocks/options.h"
#include "dblocks/core/state_format.h"

namespace dblocks::memory {

/// What decides the memory of a step, as plain numbers. The network is a vision
/// transformer, modulated by the noise level where it denoises, or a diffusion
/// transformer.
struct StepShape {
  int64_t batch_size = 1;     ///< N
  int64_t tokens = 1;         ///< T, extra tokens included
  int64_t patches = 1;        ///< tokens that come from the image
  int64_t patch_numbers = 1;  ///< C * patch * patch
  int64_t width = 1;          ///< D
  int64_t heads = 1;          ///< H
  int64_t mlp_width = 1;
  int64_t num_classes = 1;
  int64_t condition_width = 0;  ///< of the sigma embedding; 0 = plain network
  bool has_class_token = true;
  bool has_silu_after = false;  ///< modulation = published
  double dropout = 0;
  int64_t compute_bytes = 4;  ///< of one number in products: 4 or 2
  int64_t micro_batch = 0;    ///< samples at once; 0 = batch_size
  bool recompute = false;     ///< all layers of a unit but its last
  StateFormat format = {};
  blocks::OwnershipOptions ownership;  ///< of a denoising network's parts

  /// Whether it is a diffusion transformer, which denoises whole images.
  bool generates_images = false;

  bool denoises() const { return condition_width > 0; }
  /// Samples that run through the network at once.
  int64_t samples_at_once() const {
    return micro_batch > 0 ? std::min(micro_batch, batch_size) : batch_size;
  }
};

/// The part of the network that trains at once.
struct UnitShape {
  int64_t num_layers = 1;
  bool has_stem = true;
  /// Layers of each earlier unit whose weights are read; greedy training only.
  std::vector<int64_t> before = {};
};

/// Predicted bytes of one step of one unit.
struct UnitPlan {
  int64_t num_layers = 0;
  int64_t num_parameters = 0;  ///< trained scalars, shared parts included
  int64_t weights_bytes = 0;   ///< as they are stored
  int64_t unpacked_bytes = 0;  ///< in fp32 besides, where stored in bf16
  int64_t gradient_bytes = 0;
  int64_t moments_bytes = 0;
  int64_t average_bytes = 0;
  int64_t frozen_bytes = 0;      ///< weights that are read and not trained
  int64_t activation_bytes = 0;  ///< kept by stem and layers
  int64_t head_bytes = 0;        ///< kept by sigma embedding, head and loss
  int64_t buffer_bytes = 0;      ///< needed on top at the worst moment
  int64_t peak_bytes = 0;        ///< at that moment

  /// Weights, gradient, moments, average and frozen parts.
  int64_t state_bytes() const {
    return weights_bytes + unpacked_bytes + gradient_bytes + moments_bytes +
           average_bytes + frozen_bytes;
  }
};

/// Requires: positive numbers.
UnitPlan plan_unit(const StepShape& shape, const UnitShape& unit);

/// The largest batch whose peak stays within `bytes`; 0 if not even one sample
/// fits.
int64_t largest_batch(StepShape shape, const UnitShape& unit, int64_t bytes);

}  // namespace dblocks::memory
