// SPDX-License-Identifier: Apache-2.0
// Inception-v3 as Frechet distances are measured by: the network of 2015-12-05
// up to its last pool, whose average pools leave padding out and whose last
// block takes a maximum.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "dblocks/core/tensor_bytes.h"

namespace dblocks::models {

/// A convolution of Inception, followed by batch normalisation and ReLU.
struct InceptionLayer {
  std::string name;  ///< for instance "Mixed_5b.branch5x5_2"
  int64_t in = 0, out = 0;
  int64_t rows = 1, columns = 1;  ///< of the kernel
  int64_t stride = 1;
  bool is_padded = false;  ///< so that stride 1 keeps the size
};

/// All 94 of them.
const std::vector<InceptionLayer>& inception_layers();

/// *Source*: Szegedy et al. 2015, arXiv 1512.00567; Heusel et al. 2017,
/// arXiv 1706.08500.
class Inception {
 public:
  static constexpr int64_t kSide = 299;
  static constexpr int64_t kNumFeatures = 2048;

  /// Takes the weights of every layer NAME: NAME.conv.weight [out, in, rows,
  /// columns] and NAME.bn.{weight, bias, running_mean, running_var} [out], all
  /// F32. `file` is named in errors. *Errors*: CheckpointError for a tensor
  /// that is missing, has another type or shape, belongs to no layer or gives
  /// numbers that are not finite.
  Inception(std::span<const TensorBytes> tensors,
            const std::string& file,
            at::Device device);

  /// The features of images. *Shapes*: images: [N, 3, 299, 299] float32 in
  /// [-1, 1] on the device; result: [N, 2048].
  at::Tensor features(const at::Tensor& images) const;

  at::Device device() const { return device_; }

 private:
  /// With the normalisation folded in.
  struct Convolution {
    at::Tensor weight, bias;
    std::vector<int64_t> stride, padding;
  };

  at::Tensor apply(const std::string& name, const at::Tensor& x) const;
  at::Tensor chain(const std::string& mixed,
                   std::initializer_list<const char*> names,
                   at::Tensor x) const;
  at::Tensor stem(at::Tensor x) const;
  at::Tensor mixed_a(const std::string& name, const at::Tensor& x) const;
  at::Tensor mixed_b(const std::string& name, const at::Tensor& x) const;
  at::Tensor mixed_c(const std::string& name, const at::Tensor& x) const;
  at::Tensor mixed_d(const std::string& name, const at::Tensor& x) const;
  at::Tensor mixed_e(const std::string& name,
                     const at::Tensor& x,
                     const at::Tensor& pooled) const;

  std::map<std::string, Convolution> convolutions_;
  at::Device device_;
};

}  // namespace dblocks::models
