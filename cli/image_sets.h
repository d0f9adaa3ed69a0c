// SPDX-License-Identifier: Apache-2.0
// The images that `dblocks eval` compares: a data set's, or a file's.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "cli/feature_networks.h"
#include "dblocks/data/dataset.h"
#include "dblocks/report/image_evaluation.h"
#include "dblocks/tasks/generation_options.h"

namespace dblocks::cli {

/// Pixels of all readable samples. *Shapes*: result: [N, Y, X, C] uint8.
at::Tensor pixels_of(const data::Dataset& set);

/// Images made elsewhere.
struct ForeignImages {
  std::string name;    ///< the file's, with a hash of the pixels
  at::Tensor pixels;   ///< [N, Y, X, C] uint8
  at::Tensor classes;  ///< [N] int64; undefined where they are not known
};

/// Reads images from a file, see data/image_archive.h. *Errors*: DataError if
/// it holds none; ConfigError for images of another shape than `info`'s where
/// `networks` compare by more than Inception's features, which take any, and
/// for classes that `info` does not have.
ForeignImages open_images(const std::string& file,
                          const FeatureNetworks& networks,
                          const data::DatasetInfo& info);

/// What images are compared with.
struct Reference {
  std::string name;  ///< in words
  /// [N, Y, X, C] uint8; undefined where only statistics are known.
  at::Tensor pixels;
  /// Of Inception's features, [F] and [F, F] float64; undefined with pixels.
  at::Tensor mean, covariance;

  bool is_statistics() const { return !pixels.defined(); }
};

/// The reference that `options` name: test or training images, or a file.
/// *Errors*: as open_images(); ConfigError for statistics where there is no
/// Inception, or of another number of features.
Reference open_reference(const tasks::EvaluationOptions& options,
                         const FeatureNetworks& networks,
                         const data::DataSplits& data);

/// *Errors*: ConfigError for fewer images on either side than neighbours are
/// looked at.
void check_comparable(int64_t num_images,
                      const Reference& reference,
                      const tasks::EvaluationOptions& options);

/// Compares images with the reference by each of the networks in use, by
/// Inception alone where it is statistics. `images` names them in the scores.
/// *Shapes*: pixels: [N, Y, X, C] uint8. Requires: check_comparable().
std::vector<report::ImageScore> compare_images(
    const at::Tensor& pixels,
    const std::string& images,
    const Reference& reference,
    const FeatureNetworks& networks,
    const tasks::EvaluationOptions& options);

}  // namespace dblocks::cli
