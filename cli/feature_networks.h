// SPDX-License-Identifier: Apache-2.0
// What `dblocks eval` compares images by.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <memory>
#include <string>
#include <vector>

#include "dblocks/data/dataset.h"
#include "dblocks/tasks/generation_options.h"
#include "dblocks/tasks/image_features.h"
#include "dblocks/tasks/inception_features.h"

namespace dblocks::cli {

/// The networks that a recipe asks for.
struct FeatureNetworks {
  std::unique_ptr<tasks::InceptionFeatures> inception;
  std::unique_ptr<tasks::ClassifierFeatures> classifier;
  tasks::PixelFeatures pixels;

  /// Those that images are compared by, the one that is quoted first: pixels
  /// only without the others.
  std::vector<const tasks::ImageFeatures*> in_use() const;
  /// One that a whole training set can be looked at with.
  const tasks::ImageFeatures& quick() const;
};

/// Opens them for such images. *Errors*: ConfigError for a classifier run that
/// is none or reads other images; CheckpointError for weights that are not
/// those of Inception-v3.
FeatureNetworks open_feature_networks(const tasks::EvaluationOptions& options,
                                      const data::DatasetInfo& images,
                                      at::Device device);

/// The features of real images, from the folder `cache` if they are kept there,
/// else computed and kept. "" = no cache. A cache that cannot be read or
/// written is a warning. *Shapes*: as tasks::ImageFeatures.
at::Tensor features_of_real(const tasks::ImageFeatures& features,
                            const at::Tensor& pixels,
                            const std::string& cache);

}  // namespace dblocks::cli
